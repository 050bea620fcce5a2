"""The signatures between orderflow and a fulfillment system (`docs/fulfillment.md`).

Both sides sign with one secret: the HMAC-SHA256 of the time, a full stop and the body. What the fulfillment
system sends names its route too, so that no signature serves for another order.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from functions.shared.domain.errors import InvalidSignature

if TYPE_CHECKING:
    from functions.shared.http import Api

# Seconds after which the secret is read again, to notice a rotation.
SECRET_LIFETIME = 300.0
# Seconds by which the time of a signature may be off.
TOLERANCE = 300


class SigningSecret:
    """The shared secret, from Secrets Manager. It is cached, and never logged."""

    def __init__(self, client: Callable[[], Any], arn: str) -> None:
        self._client = client
        self._arn = arn
        self._value = b""
        self._read_at = -SECRET_LIFETIME

    def value(self) -> bytes:
        """Returns the secret as it was at most `SECRET_LIFETIME` ago. Raises botocore's errors."""
        if time.monotonic() - self._read_at >= SECRET_LIFETIME:
            self.renew()
        return self._value

    def renew(self) -> bool:
        """Reads the secret now. Returns whether it changed."""
        before = self._value
        self._value = self._client().get_secret_value(SecretId=self._arn)["SecretString"].encode()
        self._read_at = time.monotonic()
        return self._value != before


def sign(secret: bytes, timestamp: str, body: bytes, *, route: str | None = None) -> str:
    """Returns the value of `X-Orderflow-Signature`, for a route such as `PUT /orders/o-1/shipments/S-1`."""
    signed = f"{timestamp}.{route}." if route else f"{timestamp}."
    return "v1=" + hmac.new(secret, signed.encode() + body, hashlib.sha256).hexdigest()


def check_signature(api: Api, secret: SigningSecret) -> None:
    """Raises `InvalidSignature` unless a request is signed over its route and body, at most `TOLERANCE` ago.

    A signature under a secret that was rotated since it was read is valid too. Raises botocore's errors.
    """
    timestamp = api.header("x-orderflow-timestamp") or ""
    signature = (api.header("x-orderflow-signature") or "").encode("utf-8", "replace")

    def is_ours() -> bool:
        expected = sign(secret.value(), timestamp, api.raw_body, route=api.route_called)
        return hmac.compare_digest(expected.encode(), signature)

    is_recent = re.fullmatch(r"[0-9]{1,12}", timestamp) and abs(time.time() - int(timestamp)) <= TOLERANCE
    if not (is_recent and (is_ours() or (secret.renew() and is_ours()))):
        raise InvalidSignature(
            "expected X-Orderflow-Timestamp and X-Orderflow-Signature of this route and body"
        )
