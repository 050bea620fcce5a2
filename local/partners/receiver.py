"""The part of orderflow's API that a fulfillment system calls, with the rules of `docs/fulfillment.md`.

Checks a fulfillment system's calls without a stack: key, signature, fields, and quantities.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

from local.partners.calls import sign_call
from local.partners.shipping import Kind

REPLAY_WINDOW: Final = 300  # seconds
NO_ANSWER: Final = 0  # a status for `CallReceiver.plan`: records the call, and closes the connection
_ID: Final = r"[A-Za-z0-9._-]{1,64}"
_ROUTE: Final = re.compile(rf"/orders/(?P<order>{_ID})/(?P<kind>shipments|refusals|returns)/(?P<id>{_ID})")
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "shipments": frozenset({"lines", "carrier", "trackingNumber", "trackingUrl", "shippedAt", "deliveredAt"}),
    "refusals": frozenset({"lines", "reason"}),
    "returns": frozenset({"status", "lines", "reason"}),
}
_CHANGEABLE: Final = frozenset({"carrier", "trackingNumber", "trackingUrl", "reason"})
_MAX_LENGTHS: Final[Mapping[str, int]] = {"carrier": 64, "trackingNumber": 64, "trackingUrl": 500}
_REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "shipments": frozenset({"lines", "shippedAt"}),
    "refusals": frozenset({"lines", "reason"}),
    "returns": frozenset({"status", "lines"}),
}


class ReceivedCall(NamedTuple):
    """A call, and the answer to it."""

    path: str
    body: bytes
    status: int
    detail: str
    at: float


class Problem(Exception):
    """What is wrong with a call, and the status of the answer to it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def is_addition(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Returns whether a later report of a fact may follow an earlier one.

    Texts may change, such as a tracking number. Lines and times may not, and no field may disappear.
    """
    return all(
        name in after and (name in _CHANGEABLE or _comparable(after[name]) == _comparable(value))
        for name, value in before.items()
    )


def _may_follow(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if kind == "returns":  # a received return is final
        return _comparable_fields(before) == _comparable_fields(after)
    return is_addition(before, after)


def _comparable_fields(fact: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in fact.items()}


def _comparable(value: Any) -> Any:
    """Returns lines without their order, and times without their notation."""
    if isinstance(value, list):
        return sorted((line["productId"], line["quantity"], line.get("restock", False)) for line in value)
    with contextlib.suppress(TypeError, ValueError):
        return datetime.fromisoformat(value)
    return value


class CallReceiver:
    """Accepts the calls of a fulfillment system for known orders."""

    def __init__(self, secret: str, api_key: str, *, now: Callable[[], float] = time.time) -> None:
        self.secret = secret
        self.api_key = api_key
        self.orders: dict[str, dict[str, int]] = {}  # order -> product -> ordered quantity
        self.facts: dict[str, dict[tuple[Kind, str], dict[str, Any]]] = {}  # order -> (kind, id) -> body
        self.calls: list[ReceivedCall] = []
        self.plan: deque[int] = deque()  # statuses of the next answers, in order, instead of the regular ones
        self._now = now
        self._lock = threading.Lock()

    def handle(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Handles one PUT. `headers` are keyed by lower-case names. `path` has no stage and base path."""
        with self._lock:
            detail = ""
            try:
                self._check_sender(path, headers, body)
                status = self.plan.popleft() if self.plan else self._record(path, body)
            except Problem as problem:
                status, detail = problem.status, str(problem)
            self.calls.append(ReceivedCall(path, body, status, detail, self._now()))
            return status, {"status": status, "detail": detail} if status >= 400 else {}

    def quantities(self, order_id: str, *kinds: str) -> dict[str, int]:
        """Returns the quantity of each product in the order's shipments, refusals or returns."""
        total: dict[str, int] = {}
        for (kind, _), body in self.facts.get(order_id, {}).items():
            for line in body["lines"] if kind in kinds else ():
                total[line["productId"]] = total.get(line["productId"], 0) + line["quantity"]
        return total

    def _check_sender(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        if headers.get("x-api-key") != self.api_key:
            raise Problem(403, "X-Api-Key is missing or wrong")
        timestamp = headers.get("x-orderflow-timestamp", "")
        if not timestamp.isdecimal() or abs(self._now() - int(timestamp)) > REPLAY_WINDOW:
            raise Problem(401, "X-Orderflow-Timestamp is missing, or more than five minutes off")
        expected = sign_call(self.secret, timestamp, path, body)
        if not hmac.compare_digest(expected, headers.get("x-orderflow-signature", "")):
            raise Problem(401, "X-Orderflow-Signature does not match method, route and body")

    def _record(self, path: str, body: bytes) -> int:
        match = _ROUTE.fullmatch(path)
        if match is None or match["order"] not in self.orders:
            raise Problem(404, f"{path}: no such route or order")
        order_id, kind = match["order"], cast("Kind", match["kind"])
        key, new = (kind, match["id"]), decode_fact(kind, body)
        facts = self.facts.setdefault(order_id, {})
        unknown = {line["productId"] for line in new["lines"]} - self.orders[order_id].keys()
        if unknown:
            raise Problem(422, f"the order does not have {sorted(unknown)}")
        before = facts.get(key)
        if before is not None and not _may_follow(kind, before, new):
            raise Problem(409, f"{match['id']} takes a fact back")
        facts[key] = new
        try:
            self._check_quantities(order_id)
        except Problem:
            del facts[key]
            raise
        return 201 if before is None else 200

    def _check_quantities(self, order_id: str) -> None:
        handled = self.quantities(order_id, "shipments", "refusals")
        shipped = self.quantities(order_id, "shipments")
        for product, quantity in handled.items():
            ordered = self.orders[order_id][product]
            if quantity > ordered:
                raise Problem(409, f"{product}: {quantity} shipped or refused, but {ordered} ordered")
        for product, quantity in self.quantities(order_id, "returns").items():
            if quantity > shipped.get(product, 0):
                raise Problem(409, f"{product}: {quantity} returned, but {shipped.get(product, 0)} shipped")


def decode_fact(kind: str, body: bytes) -> dict[str, Any]:
    """Returns the body of a call. Raises Problem if a field is missing, unknown or wrong."""
    try:
        decoded = json.loads(body)
    except ValueError:
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(decoded, dict):
        raise Problem(422, "the body is not an object")
    missing, unknown = _REQUIRED[kind] - decoded.keys(), decoded.keys() - _FIELDS[kind]
    if missing or unknown:
        raise Problem(422, f"missing fields: {sorted(missing)}, unknown fields: {sorted(unknown)}")
    _check_lines(decoded["lines"], kind)
    for name in decoded.keys() - {"lines", "shippedAt", "deliveredAt"}:
        if not isinstance(decoded[name], str) or not decoded[name]:
            raise Problem(422, f"{name} is not a text")
        if len(decoded[name]) > _MAX_LENGTHS.get(name, 200):
            raise Problem(422, f"{name} has more than {_MAX_LENGTHS.get(name, 200)} characters")
    shipped_at, delivered_at = (_time(decoded, name) for name in ("shippedAt", "deliveredAt"))
    if shipped_at and delivered_at and delivered_at < shipped_at:
        raise Problem(422, "deliveredAt is before shippedAt")
    if not re.fullmatch(r"https://[^\s/?#]+\S*", decoded.get("trackingUrl", "https://example.com")):
        raise Problem(422, "trackingUrl is not an https URL")
    if decoded.get("status", "RECEIVED") != "RECEIVED":
        raise Problem(422, "status is not RECEIVED")
    return decoded


def _check_lines(lines: Any, kind: str) -> None:
    if not isinstance(lines, list) or not lines:
        raise Problem(422, "lines is not a list with at least one line")
    fields = {"productId", "quantity"}
    optional = {"restock"} if kind == "returns" else set()
    for line in lines:
        if not isinstance(line, dict) or not fields <= line.keys() <= fields | optional:
            raise Problem(422, f"a line does not have exactly the fields {sorted(fields | optional)}")
        if type(line["quantity"]) is not int or line["quantity"] < 1:
            raise Problem(422, "quantity is not a whole number of at least 1")
        if not isinstance(line.get("restock", True), bool):
            raise Problem(422, "restock is not true or false")
    if len({line["productId"] for line in lines}) < len(lines):
        raise Problem(422, "a product is on two lines")


def _time(decoded: Mapping[str, Any], name: str) -> datetime | None:
    if name not in decoded:
        return None
    try:
        found = datetime.fromisoformat(decoded[name])
    except (TypeError, ValueError):
        found = None
    if found is None or found.utcoffset() is None or found.utcoffset().total_seconds() != 0:  # type: ignore[union-attr]
        raise Problem(422, f"{name} is not a time in UTC, as 2026-11-27T09:30:00Z")
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ReceiverServer

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.removeprefix(self.server.base_path)
        status, content = self.server.receiver.handle(path, headers, body)
        self.close_connection = True
        if status == NO_ANSWER:
            return
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if content else "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


class ReceiverServer(ThreadingHTTPServer):
    """Serves a `CallReceiver` on 127.0.0.1 while the `with` block lasts."""

    daemon_threads = True
    request_queue_size = 128
    base_path: Final = "/v1"

    def __init__(self, receiver: CallReceiver, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.receiver = receiver

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self.server_port}{self.base_path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()
