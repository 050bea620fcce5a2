"""The environment of `fulfill_order` configures the fulfillment system."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend


def test_without_a_url_there_is_no_fulfillment_system(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.shared.fulfillment import open_fulfillment_system

    monkeypatch.setenv("FULFILLMENT_URL", "")
    assert open_fulfillment_system() is None
