"""The client of the fulfillment system: one signed HTTPS request per order (`docs/fulfillment.md`).

A request is a POST of `{"orderId", "attempt", "items": [{"productId", "quantity", "title"}]}`, with the
order's `reference`, `metadata` and `deliverTo` if it has them, and with the headers

- `Idempotency-Key`: the order's id. The fulfillment system ships at most once per key. It answers a repeat
  with the first shipment (2xx or 409).
- `X-Orderflow-Timestamp`: seconds since 1970 (UTC) at which the request was signed.
- `X-Orderflow-Signature`: `v1=` and, in hex, the HMAC-SHA256 under the shared secret of the timestamp, a full
  stop, and the bytes of the body. The fulfillment system refuses a timestamp more than five minutes off. A
  replay within them is a repeat, and ships nothing.
- `X-Correlation-Id`: the id of the client's request.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from functions.shared import aws, deadline
from functions.shared.domain.errors import FulfillmentRefused, FulfillmentUnavailable
from functions.shared.domain.ids import Identifier
from functions.shared.domain.orders import OrderContent, OrderLine
from functions.shared.domain.shipping import RefusalReport, ShipmentReport, Word
from functions.shared.environment import required
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.observability import logger
from functions.shared.signatures import SigningSecret, sign

# Seconds that a shipment may take in all, if the function's timeout leaves as many.
TIMEOUT = 4.0
# The limit of a response.
MAX_ANSWER_BYTES = 256 * 1024

# The signature is not accepted: the configuration is wrong, and not the order. So the order stays open and is
# retried.
_MISCONFIGURED = frozenset({401, 403})
# 4xx after which a retry may succeed: Request Timeout, Too Early, Too Many Requests.
_TRANSIENT = frozenset({408, 425, 429})


class Parcel(msgspec.Struct, frozen=True, rename="camel"):
    """A product to ship, and its quantity."""

    product_id: str
    quantity: int
    title: str | None


class ShipmentRequest(OrderContent, frozen=True, rename="camel", omit_defaults=True):
    """The body of a request. Of two requests with one id, the higher attempt is the newer."""

    order_id: str
    attempt: int
    items: list[Parcel]


class Refusal(msgspec.Struct, frozen=True):
    """The document of a refusal. `refused` distinguishes it from the answers of proxies."""

    refused: Literal[True]
    detail: str = ""


class _Shipment(ShipmentReport, frozen=True, rename="camel", forbid_unknown_fields=False, kw_only=True):
    shipment_id: Identifier


class _Refusal(RefusalReport, frozen=True, rename="camel", forbid_unknown_fields=False, kw_only=True):
    refusal_id: Identifier


class _CancelRequest(msgspec.Struct, frozen=True, rename="camel"):
    order_id: str
    attempt: int
    cancel: Literal[True] = True


class _Cancelled(msgspec.Struct, frozen=True):
    """The answer to a request to cancel: agreed, or too late."""

    cancelled: bool


class _Accepted(msgspec.Struct, frozen=True, rename="camel"):
    """The document of an order that is shipped, or will be."""

    shipment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    shipments: list[_Shipment] = []
    refusals: list[_Refusal] = []


class Reply(NamedTuple):
    """An HTTP response: its status, and at most `MAX_ANSWER_BYTES` + 1 bytes of its body."""

    status: int
    body: bytes


Transport = Callable[[SplitResult, bytes, dict[str, str], float], Reply]


class FulfillmentClient:
    """The client of the fulfillment system at a URL.

    `name` is the URL without scheme and query. An order stays with the system of this name.
    """

    def __init__(self, url: SplitResult, secret: SigningSecret, transport: Transport) -> None:
        self.name = f"{url.netloc}{url.path}".lower()
        self._url = url
        self._secret = secret
        self._transport = transport

    def prepare(self) -> None:
        """Does what may fail before an order is handed over. After that only the outcome is unknown."""
        self._secret.value()

    def ship(
        self,
        order_id: str,
        attempt: int,
        lines: Sequence[OrderLine],
        *,
        content: OrderContent,
        correlation_id: str,
    ) -> Word:
        """Requests the shipment of an order. Returns what is shipped so far. A repeat ships nothing twice.

        Raises `FulfillmentRefused` for a refusal, and `FulfillmentUnavailable` if the outcome is unknown.
        """
        parcels = [Parcel(line.product_id, line.quantity, line.title) for line in lines]
        body = msgspec.json.encode(ShipmentRequest(order_id, attempt, parcels, **content.for_fulfillment))  # type: ignore[arg-type]
        return read_reply(self._send(order_id, body, correlation_id))

    def cancel(self, order_id: str, attempt: int, *, correlation_id: str) -> bool:
        """Asks to ship nothing more of an order. Returns whether the system agreed.

        Raises `FulfillmentUnavailable` if the answer is unknown.
        """
        body = msgspec.json.encode(_CancelRequest(order_id, attempt))
        reply = self._send(f"{order_id}/cancel", body, correlation_id)
        if 200 <= reply.status < 300:
            with contextlib.suppress(MalformedJson):
                return decode_json(reply.body, _Cancelled).cancelled
        raise FulfillmentUnavailable(f"the fulfillment system answered {reply.status} to a cancellation")

    def _send(self, key: str, body: bytes, correlation_id: str) -> Reply:
        ends_at = time.monotonic() + min(TIMEOUT, deadline.seconds_left())
        reply = self._post(key, body, correlation_id, ends_at)
        if reply.status in _MISCONFIGURED and self._secret.renew():
            reply = self._post(key, body, correlation_id, ends_at)
        return reply

    def _post(self, key: str, body: bytes, correlation_id: str, ends_at: float) -> Reply:
        seconds = ends_at - time.monotonic()
        if seconds <= 0:
            raise FulfillmentUnavailable("the function's timeout left no time for the fulfillment system")
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "orderflow",
            "Idempotency-Key": key,
            "X-Correlation-Id": correlation_id,
            "X-Orderflow-Timestamp": timestamp,
            "X-Orderflow-Signature": sign(self._secret.value(), timestamp, body),
        }
        return self._transport(self._url, body, headers, seconds)


def open_client() -> FulfillmentClient:
    """Returns the client of the configured fulfillment system."""
    return FulfillmentClient(
        urlsplit(required("FULFILLMENT_URL")),
        SigningSecret(lambda: aws.client("secretsmanager"), required("FULFILLMENT_SECRET_ARN")),
        open_transport(),
    )


def read_reply(reply: Reply) -> Word:
    """Returns what the fulfillment system shipped, or refused line by line. With 202 that may be nothing yet.

    Raises `FulfillmentRefused` for a `Refusal`, and `FulfillmentUnavailable` for every response that leaves
    the outcome open.
    """
    status = reply.status
    if status == HTTPStatus.ACCEPTED and not reply.body.strip():
        return Word()
    if 200 <= status < 300 or status == HTTPStatus.CONFLICT:
        with contextlib.suppress(MalformedJson):
            accepted = decode_json(reply.body, _Accepted)
            word = Word(
                accepted.shipment_id,
                [(shipment.shipment_id, shipment) for shipment in accepted.shipments],
                [(refusal.refusal_id, refusal) for refusal in accepted.refusals],
            )
            if word != Word(None, [], []) or status == HTTPStatus.ACCEPTED:
                return word
        raise FulfillmentUnavailable(f"the fulfillment system answered {status} without a shipment")
    if status in _MISCONFIGURED:
        logger.error("the fulfillment system does not accept our signature", status=status)
    elif 400 <= status < 500 and status not in _TRANSIENT:
        with contextlib.suppress(MalformedJson):
            # A detail in another encoding must not hide a refusal.
            refusal = decode_json(reply.body.decode("utf-8", "replace"), Refusal)
            detail = f": {refusal.detail[:200]}" if refusal.detail else ""
            raise FulfillmentRefused(f"the fulfillment system refused the order ({status}){detail}")
    raise FulfillmentUnavailable(f"the fulfillment system answered {status}")


def open_transport() -> Transport:
    """Returns a transport with one connection per request and verified TLS. It follows no redirect."""
    tls = ssl.create_default_context()

    def post(url: SplitResult, body: bytes, headers: dict[str, str], seconds: float) -> Reply:
        """Sends a request. Raises `FulfillmentUnavailable` without a whole response within that time."""
        ends_at = time.monotonic() + seconds
        host = url.hostname or ""
        connection: HTTPConnection
        try:
            if url.scheme == "https":
                connection = HTTPSConnection(host, url.port, timeout=seconds, context=tls)
            else:
                connection = HTTPConnection(host, url.port, timeout=seconds)
            with contextlib.closing(connection):
                connection.connect()
                with _cut_off_at(ends_at, connection.sock):
                    target = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
                    connection.request("POST", target, body, headers)
                    response = connection.getresponse()
                    return Reply(response.status, response.read(MAX_ANSWER_BYTES + 1))
        except (OSError, HTTPException, ValueError) as error:
            raise FulfillmentUnavailable("the fulfillment system did not answer") from error

    return post


@contextlib.contextmanager
def _cut_off_at(ends_at: float, connected: socket.socket) -> Any:
    """Closes a socket when the time is up.

    The socket's own timeout starts again with every byte that arrives.
    """

    def cut() -> None:
        with contextlib.suppress(OSError):  # it is closed already
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, ends_at - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
