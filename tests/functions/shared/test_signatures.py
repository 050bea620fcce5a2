"""The signatures between orderflow and a fulfillment system, and the secret that makes them."""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.signatures import SECRET_LIFETIME, SigningSecret, sign


class Vault:
    """Secrets Manager with one secret."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.reads = 0

    def get_secret_value(self, **_request: Any) -> dict[str, str]:
        self.reads += 1
        return {"SecretString": self.value}


def test_a_signature_has_the_value_that_openssl_computes() -> None:
    # printf '1768300000.{"orderId":"o-1"}' | openssl dgst -sha256 -hmac s3cret
    assert (
        sign(b"s3cret", "1768300000", b'{"orderId":"o-1"}')
        == "v1=7bdc057605208868e99c4ae5a312dc2f6c34692e985b98a55b3223ad67a1f2cf"
    )
    # printf '1768300000.PUT /orders/o-1/shipments/S-1.{}' | openssl dgst -sha256 -hmac s3cret
    route = "PUT /orders/o-1/shipments/S-1"
    assert (
        sign(b"s3cret", "1768300000", b"{}", route=route)
        == "v1=a35b743df70af102b0b4624137b98cdf57a1efb74a20bd221157454dcfe9dc6d"
    )


def test_the_signature_of_one_route_is_not_that_of_another() -> None:
    routes = [
        None,
        "PUT /orders/o-1/shipments/S-1",
        "PUT /orders/o-1/refusals/S-1",
        "PUT /orders/o-2/shipments/S-1",
    ]
    assert len({sign(b"s3cret", "1", b"{}", route=route) for route in routes}) == len(routes)


def test_a_secret_is_read_once_until_its_lifetime_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("functions.shared.signatures.time.monotonic", lambda: now)
    vault = Vault("first")
    secret = SigningSecret(lambda: vault, "arn")
    assert [secret.value(), secret.value()] == [b"first", b"first"]
    vault.value = "second"
    now += SECRET_LIFETIME - 1
    assert (secret.value(), vault.reads) == (b"first", 1)
    now += 1
    assert (secret.value(), vault.reads) == (b"second", 2)


def test_a_renewal_returns_whether_the_secret_changed() -> None:
    vault = Vault("first")
    secret = SigningSecret(lambda: vault, "arn")
    assert secret.renew()
    assert not secret.renew()
    vault.value = "second"
    assert secret.renew()
