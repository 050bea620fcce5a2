"""The environment of `fulfill_order` configures the fulfillment system."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.iam import SECRET_ARN
from tests.functions.imports import import_again


def test_the_environment_configures_the_fulfillment_system(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = import_again("functions.fulfill_order.handler")
    assert (handler._fulfillment_system, handler._overdue_minutes) == (None, 0)
    monkeypatch.setenv("FULFILLMENT_URL", "https://partner.example.com/orders")
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", SECRET_ARN)
    monkeypatch.setenv("FULFILLMENT_OVERDUE_HOURS", "48")
    handler = import_again("functions.fulfill_order.handler")
    assert (handler._fulfillment_system.name, handler._overdue_minutes) == (
        "partner.example.com/orders",
        2880,
    )
    monkeypatch.setenv("FULFILLMENT_URL", "")
    assert import_again("functions.fulfill_order.handler")._fulfillment_system is None
