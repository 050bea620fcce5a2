"""A small warehouse: the other side of `docs/fulfillment.md`, well-behaved or not.

    python -m local.partners.fulfillment --secret s3cret --busy 0.05 --lost 0.02

serves on loopback until Ctrl-C and prints a line per request. It keeps what it shipped in memory only.
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


class Mood(StrEnum):
    """How the warehouse treats a request."""

    FAIR = "fair"  # as the contract says
    REFUSE = "refuse"  # 422, for good
    BUSY = "busy"  # 503, nothing done
    THROTTLE = "throttle"  # 429, nothing done
    LOST = "lost"  # accepts, then the connection breaks: nobody hears of it
    DEAF = "deaf"  # the connection breaks before anything is done
    SLOW = "slow"  # accepts, but answers after `Warehouse.slowness` seconds only
    TRICKLE = "trickle"  # accepts, and answers byte by byte, ever so slowly
    GARBLED = "garbled"  # accepts, and answers 200 with something that is no shipment
    MUTE = "mute"  # accepts, and from then on answers 409 without saying which shipment
    HUGE = "huge"  # accepts, and answers a shipment somewhere in a megabyte
    REDIRECT = "redirect"  # 307 to another place
    LOCKED = "locked"  # 401, whatever the signature


class Received(NamedTuple):
    """One request as it came in."""

    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What the warehouse answers; `mood` tells the server how to send it."""

    status: int
    body: bytes
    mood: Mood


class Warehouse:
    """Checks signatures, ships once per idempotency key, and remembers what it refused."""

    def __init__(self, secret: str, *, now: Callable[[], float] = time.time) -> None:
        self.secret = secret
        self.slowness = 6.0
        self.plan: deque[Mood] = deque()  # the moods of the next requests, in their order
        self.mood: Callable[[], Mood] = lambda: Mood.FAIR  # of all later ones
        self.received: list[Received] = []
        self.shipments: dict[str, str] = {}
        self.contents: dict[str, dict[str, int]] = {}  # of the shipments: quantity by product
        self._refused: dict[str, int] = {}  # the highest attempt that was refused, by order
        self._now = now
        self._lock = threading.Lock()

    def handle(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Treat one request. `headers` by lower-case names."""
        with self._lock:
            self.received.append(Received(dict(headers), body))
            mood = self.plan.popleft() if self.plan else self.mood()
            status, content = self._decide(headers, body, mood)
            return Answer(status, json.dumps(content).encode(), mood)

    def _decide(self, headers: Mapping[str, str], body: bytes, mood: Mood) -> tuple[int, object]:
        if mood is Mood.LOCKED or not self._is_signed(headers, body):
            return 401, {"detail": "the signature does not match"}
        immediate = {Mood.BUSY: 503, Mood.THROTTLE: 429, Mood.DEAF: 0, Mood.REDIRECT: 307}
        if mood in immediate:
            return immediate[mood], {}
        order = json.loads(body)
        order_id, attempt = order["orderId"], order["attempt"]
        if headers.get("idempotency-key") != order_id:
            return 400, {"detail": "Idempotency-Key is not the order's id"}
        if order_id in self.shipments:
            return 409, {} if mood is Mood.MUTE else {"shipmentId": self.shipments[order_id]}
        if mood is Mood.REFUSE or attempt <= self._refused.get(order_id, 0):
            self._refused[order_id] = max(attempt, self._refused.get(order_id, 0))
            return 422, {"detail": "we do not deliver there"}
        return self._ship(order, mood)

    def _ship(self, order: Any, mood: Mood) -> tuple[int, object]:
        order_id = order["orderId"]
        self.shipments[order_id] = f"parcel-{len(self.shipments) + 1}"
        self.contents[order_id] = {item["productId"]: item["quantity"] for item in order["items"]}
        answer = {"shipmentId": self.shipments[order_id]}
        if mood is Mood.GARBLED:
            return 200, ["thank", "you"]
        if mood is Mood.MUTE:
            return 409, {}
        if mood is Mood.HUGE:
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
    server: WarehouseServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.warehouse.handle(headers, self.rfile.read(length))
        self.server.report(f"{answer.mood:<8} {answer.status:>3} {headers.get('idempotency-key', '?')}")
        self.close_connection = True
        if answer.mood in {Mood.LOST, Mood.DEAF}:
            return
        if answer.mood is Mood.SLOW:
            self.server.stopping.wait(self.server.warehouse.slowness)
        head = [f"HTTP/1.1 {answer.status} {answer.mood}", f"Content-Length: {len(answer.body)}"]
        if answer.mood is Mood.REDIRECT:
            head.append(f"Location: {self.server.url}elsewhere")
        self._send("\r\n".join([*head, "Connection: close", "", ""]).encode() + answer.body, answer.mood)

    def _send(self, message: bytes, mood: Mood) -> None:
        try:
            if mood is not Mood.TRICKLE:
                self.wfile.write(message)
                return
            for position in range(len(message)):
                self.wfile.write(message[position : position + 1])
                if self.server.stopping.wait(0.2):
                    return
        except OSError:
            pass  # the client gave up

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: `report` does."""


class WarehouseServer(ThreadingHTTPServer):
    """Serves a warehouse on 127.0.0.1 while the `with` block lasts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, warehouse: Warehouse, port: int = 0, report: Callable[[str], object] = id) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.warehouse = warehouse
        self.report = report
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        """Where it serves."""
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


def moody(probabilities: Mapping[Mood, float], seed: int | None = None) -> Callable[[], Mood]:
    """Moods by chance; what the probabilities leave over is fair."""
    chance = random.Random(seed)  # noqa: S311
    moods = [*probabilities, Mood.FAIR]
    weights = [*probabilities.values(), 1 - sum(probabilities.values())]
    return lambda: chance.choices(moods, weights)[0]


def main() -> int:
    """Serve by hand, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local.partners.fulfillment", description=__doc__)
    parser.add_argument("--port", type=int, default=8787, help="on 127.0.0.1; 0 for a free one (8787)")
    parser.add_argument("--secret", required=True, help="the shared secret that signs the requests")
    parser.add_argument("--seed", type=int, help="makes the moods repeatable")
    for mood in Mood:
        if mood is not Mood.FAIR:
            parser.add_argument(f"--{mood}", type=float, default=0.0, metavar="SHARE", help="from 0 to 1")
    options = parser.parse_args()
    shares = {mood: getattr(options, mood) for mood in Mood if getattr(options, mood, 0.0)}
    warehouse = Warehouse(options.secret)
    warehouse.mood = moody(shares, options.seed)
    with WarehouseServer(warehouse, options.port, lambda line: print(line, flush=True)) as server:
        print(f"serving on {server.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(warehouse.received)} requests, {len(warehouse.shipments)} shipments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
