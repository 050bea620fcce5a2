"""The environment of `fulfill_order` configures the fulfillment system."""

from __future__ import annotations

import pytest

from functions.shared.environment import InvalidEnvironmentVariable
from local.memory.backend import MemoryBackend


@pytest.mark.parametrize(
    ("url", "allow_http"),
    [
        ("http://partner.example/orders", False),
        ("http://partner.example/orders", True),
        ("http://127.0.0.1:8787/", False),
        ("http://127.0.0.1.example:8787/", True),
        ("https://user:password@partner.example/", False),
        ("https://", False),
        ("ftp://partner.example/", True),
        ("partner.example", True),
    ],
)
def test_a_url_that_is_not_https_or_has_credentials_is_refused_at_the_start(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch, url: str, allow_http: bool
) -> None:
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", "arn")
    monkeypatch.setenv("FULFILLMENT_URL", url)
    monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true" if allow_http else "")
    with pytest.raises(InvalidEnvironmentVariable, match="FULFILLMENT_URL"):
        handler._open_fulfillment_system()


def test_without_a_url_there_is_no_fulfillment_system(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_URL", "")
    assert handler._open_fulfillment_system() is None
