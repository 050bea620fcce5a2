"""A fulfillment system that follows `docs/fulfillment.md`, and misbehaves on request.

    python -m local.partners.fulfillment --secret s3cret --busy 0.05 --drop-answer 0.02

Serves on loopback until Ctrl-C and prints a line per request. Keeps its shipments in memory only.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

REPLAY_WINDOW = 300  # seconds


class Behavior(StrEnum):
    """How the fulfillment system handles a request."""

    ACCEPT = "accept"  # as the contract requires
    REFUSE = "refuse"  # 422, permanently
    BUSY = "busy"  # 503, does not ship
    THROTTLE = "throttle"  # 429, does not ship
    DROP_ANSWER = "drop-answer"  # ships, then closes the connection without a response
    DROP_REQUEST = "drop-request"  # closes the connection, does not ship
    SLOW = "slow"  # ships, and responds after `FulfillmentPartner.delay` seconds
    TRICKLE = "trickle"  # ships, and responds with five bytes a second
    GARBLED = "garbled"  # ships, and responds 200 with a body that is not a shipment
    MUTE = "mute"  # ships, and responds 409 without a shipment id
    HUGE = "huge"  # ships, and responds with a megabyte
    REDIRECT = "redirect"  # 307, does not ship
    LOCKED = "locked"  # 401 for every signature


class Received(NamedTuple):
    """One request, as received."""

    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """A response of the fulfillment system."""

    status: int
    body: bytes
    behavior: Behavior  # decides how the server sends it


class FulfillmentPartner:
    """Checks signatures, ships once per idempotency key, and records refusals."""

    def __init__(self, secret: str, *, now: Callable[[], float] = time.time) -> None:
        self.secret = secret
        self.delay = 6.0  # seconds, for SLOW
        self.plan: deque[Behavior] = deque()  # for the next requests, in order
        self.behavior: Callable[[], Behavior] = lambda: Behavior.ACCEPT  # for all later requests
        self.received: list[Received] = []
        self.shipments: dict[str, str] = {}
        self.contents: dict[str, dict[str, int]] = {}  # order -> product -> shipped quantity
        self._refused: dict[str, int] = {}  # order -> highest refused attempt
        self._now = now
        self._lock = threading.Lock()

    def handle(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Handles one request. `headers` are keyed by lower-case names."""
        with self._lock:
            self.received.append(Received(dict(headers), body))
            behavior = self.plan.popleft() if self.plan else self.behavior()
            status, content = self._decide(headers, body, behavior)
            return Answer(status, json.dumps(content).encode(), behavior)

    def _decide(self, headers: Mapping[str, str], body: bytes, behavior: Behavior) -> tuple[int, object]:
        if behavior is Behavior.LOCKED or not self._is_signed(headers, body):
            return 401, {"detail": "the signature does not match"}
        immediate = {
            Behavior.BUSY: 503,
            Behavior.THROTTLE: 429,
            Behavior.DROP_REQUEST: 0,
            Behavior.REDIRECT: 307,
        }
        if behavior in immediate:
            return immediate[behavior], {}
        order = json.loads(body)
        order_id, attempt = order["orderId"], order["attempt"]
        if headers.get("idempotency-key") != order_id:
            return 400, {"detail": "Idempotency-Key is not the order's id"}
        if order_id in self.shipments:
            return 409, {} if behavior is Behavior.MUTE else {"shipmentId": self.shipments[order_id]}
        if behavior is Behavior.REFUSE or attempt <= self._refused.get(order_id, 0):
            self._refused[order_id] = max(attempt, self._refused.get(order_id, 0))
            return 422, {"refused": True, "detail": "we do not deliver there"}
        return self._ship(order, behavior)

    def _ship(self, order: Any, behavior: Behavior) -> tuple[int, object]:
        order_id = order["orderId"]
        self.shipments[order_id] = f"parcel-{len(self.shipments) + 1}"
        self.contents[order_id] = {item["productId"]: item["quantity"] for item in order["items"]}
        answer = {"shipmentId": self.shipments[order_id]}
        if behavior is Behavior.GARBLED:
            return 200, ["thank", "you"]
        if behavior is Behavior.MUTE:
            return 409, {}
        if behavior is Behavior.HUGE:
            return 201, {"padding": "x" * 1_000_000, **answer}
        return 201, answer

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("x-orderflow-timestamp", "")
        if not timestamp.isdecimal() or abs(self._now() - int(timestamp)) > REPLAY_WINDOW:
            return False
        signed = timestamp.encode() + b"." + body
        expected = "v1=" + hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, headers.get("x-orderflow-signature", ""))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PartnerServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.partner.handle(headers, self.rfile.read(length))
        self.server.report(f"{answer.behavior:<8} {answer.status:>3} {headers.get('idempotency-key', '?')}")
        self.close_connection = True
        if answer.behavior in {Behavior.DROP_ANSWER, Behavior.DROP_REQUEST}:
            return
        if answer.behavior is Behavior.SLOW:
            self.server.stopping.wait(self.server.partner.delay)
        head = [f"HTTP/1.1 {answer.status} {answer.behavior}", f"Content-Length: {len(answer.body)}"]
        if answer.behavior is Behavior.REDIRECT:
            head.append(f"Location: {self.server.url}elsewhere")
        self._send("\r\n".join([*head, "Connection: close", "", ""]).encode() + answer.body, answer.behavior)

    def _send(self, message: bytes, behavior: Behavior) -> None:
        try:
            if behavior is not Behavior.TRICKLE:
                self.wfile.write(message)
                return
            for position in range(len(message)):
                self.wfile.write(message[position : position + 1])
                if self.server.stopping.wait(0.2):
                    return
        except OSError:
            pass  # the client has closed the connection

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing: `report` prints a line per request."""


class PartnerServer(ThreadingHTTPServer):
    """Serves a fulfillment system on 127.0.0.1 while the `with` block lasts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, partner: FulfillmentPartner, port: int = 0, report: Callable[[str], object] = id
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.partner = partner
        self.report = report
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        """The URL for `fulfillmentUrl`."""
        return f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


def mixed_behavior(
    probabilities: Mapping[Behavior, float], seed: int | None = None
) -> Callable[[], Behavior]:
    """Returns a function that draws a behavior. The probability of ACCEPT is the remainder to 1."""
    chance = random.Random(seed)  # noqa: S311
    choices = [*probabilities, Behavior.ACCEPT]
    weights = [*probabilities.values(), 1 - sum(probabilities.values())]
    return lambda: chance.choices(choices, weights)[0]


def main() -> int:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local.partners.fulfillment", description=__doc__)
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1 (8787); 0: a free one")
    parser.add_argument("--secret", required=True, help="shared secret that signs the requests")
    parser.add_argument("--seed", type=int, help="seed of the random behaviors, to repeat a run")
    for behavior in Behavior:
        if behavior is not Behavior.ACCEPT:
            parser.add_argument(
                f"--{behavior}",
                dest=behavior.name,
                type=float,
                default=0.0,
                metavar="SHARE",
                help="share of the requests, from 0 to 1",
            )
    options = parser.parse_args()
    shares = {behavior: share for behavior in Behavior if (share := getattr(options, behavior.name, 0.0))}
    partner = FulfillmentPartner(options.secret)
    partner.behavior = mixed_behavior(shares, options.seed)
    with PartnerServer(partner, options.port, lambda line: print(line, flush=True)) as server:
        print(f"serving on {server.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(partner.received)} requests, {len(partner.shipments)} shipments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
