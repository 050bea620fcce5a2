"""A fulfillment system that follows `docs/fulfillment.md`, and misbehaves on request.

    python -m local.partners.fulfillment --ships-after 3s --parcels 2 --loses 0.1

Serves on loopback until Ctrl-C and prints a line per request and per call. Keeps its orders in memory only.
"""

from __future__ import annotations

import argparse
import contextlib
import hmac
import json
import os
import random
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from local.environment import bypass_proxies_for_loopback
from local.partners.calls import Api, Call, Caller, CallPlan, Outbox, sign_request
from local.partners.shipping import Ids, PartnerOrder, ShippingPlan
from local.terminal import visible

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


_MEANINGS = {
    Behavior.REFUSE: "422: refuse the order",
    Behavior.BUSY: "503, without shipping",
    Behavior.THROTTLE: "429, without shipping",
    Behavior.DROP_ANSWER: "ship, and close the connection without an answer",
    Behavior.DROP_REQUEST: "close the connection, without shipping",
    Behavior.SLOW: "ship, and answer after 6 seconds",
    Behavior.TRICKLE: "ship, and answer with five bytes a second",
    Behavior.GARBLED: "ship, and answer 200 with a body that is not a shipment",
    Behavior.MUTE: "ship, and answer 409 without a shipment id",
    Behavior.HUGE: "ship, and answer with a megabyte",
    Behavior.REDIRECT: "307, without shipping",
    Behavior.LOCKED: "401",
}


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
    """Checks signatures, ships once per idempotency key, records refusals and cancellations."""

    def __init__(self, secret: str, *, now: Callable[[], float] = time.time, seed: int | None = None) -> None:
        self.secret = secret
        self.chance = random.Random(seed)  # noqa: S311  (which calls are lost)
        self.api: Api | None = None  # where calls are sent
        self.shipping = ShippingPlan()  # of later orders
        self.shipping_by_reference: dict[str, ShippingPlan] = {}  # of orders with this reference
        self.delay = 6.0  # seconds, for SLOW
        self.plan: deque[Behavior] = deque()  # for the next requests, in order
        self.behavior: Callable[[], Behavior] = lambda: Behavior.ACCEPT  # for all later requests
        self.received: list[Received] = []
        self.orders: dict[str, PartnerOrder] = {}  # accepted ones
        self._cancelled: set[str] = set()  # orders whose cancellation came before their request
        self._refused: dict[str, int] = {}  # order -> highest refused attempt
        self._ids = Ids()
        self._outbox = Outbox(CallPlan())
        self._now = now
        self._lock = threading.Lock()

    @property
    def calls(self) -> CallPlan:
        """How calls are sent."""
        return self._outbox.plan

    @calls.setter
    def calls(self, plan: CallPlan) -> None:
        self._outbox.plan = plan

    @property
    def shipments(self) -> dict[str, str]:
        """The first parcel of each order that has shipped."""
        with self._lock:
            now = self._now()
            shipped = {id_: order.current("shipments", now) for id_, order in self.orders.items()}
            return {id_: next(iter(parcels)) for id_, parcels in shipped.items() if parcels}

    @property
    def contents(self) -> dict[str, dict[str, int]]:
        """The shipped quantity of each product of each order that has shipped."""
        with self._lock:
            now = self._now()
            shipped = {id_: order.shipped(now) for id_, order in self.orders.items()}
            return {id_: quantities for id_, quantities in shipped.items() if quantities}

    @property
    def waiting_calls(self) -> int:
        """The number of calls that are not answered yet, with those of later facts."""
        with self._lock:
            return len(self._outbox)

    def state(self) -> str:
        """Returns what the answers to later requests depend on, as text."""
        orders = {id_: (order.cancelled_at, order.facts) for id_, order in self.orders.items()}
        return repr((orders, sorted(self._cancelled), sorted(self._refused.items()), list(self.plan)))

    def handle(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Handles one request. `headers` are keyed by lower-case names."""
        with self._lock:
            self.received.append(Received(dict(headers), body))
            behavior = self.plan.popleft() if self.plan else self.behavior()
            status, content = self._decide(headers, body, behavior)
            return Answer(status, json.dumps(content).encode(), behavior)

    def take_due_calls(self) -> list[Call]:
        """Returns the calls to send now. Each must be passed to `record_answer`."""
        with self._lock:
            now = self._now()
            due: list[Call] = []
            for call in self._outbox.take_due(now):
                if call.fact in self.orders[call.order_id].facts:
                    due.append(call)
                else:  # cancelled: it will not become true
                    self._outbox.record(call, 200, now)
            return due

    def record_answer(self, call: Call, status: int | None) -> None:
        """Records the status of the answer to a call, or None for no answer."""
        with self._lock:
            self._outbox.record(call, status, self._now())

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
        request = json.loads(body)
        is_cancellation = request.get("cancel") is True
        key = f"{request['orderId']}/cancel" if is_cancellation else request["orderId"]
        if headers.get("idempotency-key") != key:
            expected = "the order's id" + (" and /cancel" if is_cancellation else "")
            return 400, {"detail": f"Idempotency-Key is not {expected}"}
        status, content = self._cancel(request) if is_cancellation else self._fulfill(request, behavior)
        if status == 422:
            return status, content
        altered: dict[Behavior, tuple[int, object]] = {
            Behavior.GARBLED: (200, ["thank", "you"]),
            Behavior.MUTE: (409, {}),
            Behavior.HUGE: (status, {"padding": "x" * 1_000_000, **content}),
        }
        return altered.get(behavior, (status, content))

    def _fulfill(self, request: Any, behavior: Behavior) -> tuple[int, dict[str, Any]]:
        order_id, attempt = request["orderId"], request["attempt"]
        now = self._now()
        order = self.orders.get(order_id)
        if order_id in self._cancelled or (order is not None and order.is_refused(now)):
            return 422, {"refused": True, "detail": "the order is cancelled"}
        if order is not None:
            return _answer(order, now, repeated=True)
        lines = {item["productId"]: item["quantity"] for item in request["items"]}
        plan = self.shipping_by_reference.get(request.get("reference", ""), self.shipping)
        refusal = self._reason_to_refuse(order_id, attempt, lines, plan, behavior)
        if refusal:
            self._refused[order_id] = max(attempt, self._refused.get(order_id, 0))
            return 422, {"refused": True, "detail": refusal}
        order = self.orders[order_id] = PartnerOrder(lines, plan, self._ids, now)
        self._outbox.add(order_id, [fact for fact in order.facts if fact.at > now])
        return _answer(order, now, repeated=False)

    def _reason_to_refuse(
        self,
        order_id: str,
        attempt: int,
        lines: Mapping[str, int],
        plan: ShippingPlan,
        behavior: Behavior,
    ) -> str | None:
        """Returns why the order is refused as a whole, or None."""
        if behavior is Behavior.REFUSE or attempt <= self._refused.get(order_id, 0):
            return "we do not deliver there"
        all_lines = all(plan.refuses_line(number, line) for number, line in enumerate(lines, start=1))
        return "out of stock" if all_lines and not plan.ships_after else None

    def _cancel(self, request: Any) -> tuple[int, dict[str, Any]]:
        order_id = request["orderId"]
        order = self.orders.get(order_id)
        if order is None:
            self._cancelled.add(order_id)
            return 200, {"cancelled": True}
        now = self._now()
        if order.too_late:
            return 200, {"cancelled": False, "detail": "the parcels are packed"}
        if not order.cancel(now):
            return 200, {"cancelled": False, "detail": "everything has shipped"}
        return 200, {"cancelled": True}

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        timestamp = headers.get("x-orderflow-timestamp", "")
        if not timestamp.isdecimal() or abs(self._now() - int(timestamp)) > REPLAY_WINDOW:
            return False
        expected = sign_request(self.secret, timestamp, body)
        return hmac.compare_digest(expected, headers.get("x-orderflow-signature", ""))


def _answer(order: PartnerOrder, now: float, *, repeated: bool) -> tuple[int, dict[str, Any]]:
    if order.is_immediate:
        (parcel,) = order.current("shipments", now)
        return 409 if repeated else 201, {"shipmentId": parcel}
    return 202 if order.is_open(now) else 200, order.answer(now)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PartnerServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.partner.handle(headers, self.rfile.read(length))
        key = visible(headers.get("idempotency-key", "?"))
        self.server.report(f"{answer.behavior:<8} {answer.status:>3} {key}")
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
    """Serves a fulfillment system on 127.0.0.1, and sends its calls, while the `with` block lasts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, partner: FulfillmentPartner, port: int = 0, report: Callable[[str], object] = id
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.partner = partner
        self.report = report
        self.stopping = threading.Event()
        self._caller = Caller(partner, report)

    @property
    def url(self) -> str:
        """The URL for `fulfillmentUrl`."""
        return f"http://127.0.0.1:{self.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self._caller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._caller.stop()
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


def duration(text: str) -> float:
    """Returns the seconds of a duration such as `500ms`, `3s`, `2m` or `1h`. A number alone is seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration. Use for example 500ms, 3s, 2m or 1h")
    return float(match[1]) * {"ms": 0.001, "m": 60.0, "h": 3600.0}.get(match[2], 1.0)


def share(text: str) -> float:
    """Returns a share from 0 to 1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a share. Use a number from 0 to 1")


def count(text: str) -> int:
    """Returns a whole number from 1 to 50."""
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 50:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed. Use a whole number from 1 to 50")


def options() -> argparse.ArgumentParser:
    """Returns the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m local.partners.fulfillment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="DURATION is for example 500ms, 3s, 2m or 1h; SHARE is a number from 0 to 1.",
    )
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1 (8787); 0: a free one")
    parser.add_argument("--seed", type=int, help="seed of the random behaviors, to repeat a run")
    keys = parser.add_argument_group("connection, each also from the environment variable in brackets")
    for name, variable, meaning in (
        ("--secret", "FULFILLMENT_SECRET", "shared secret that signs requests and calls; required"),
        ("--api-url", "API_URL", "base URL of orderflow's API; without it, no calls are sent"),
        ("--api-key", "API_KEY", "key for that API"),
    ):
        default = os.environ.get(variable, "")
        keys.add_argument(name, default=default, metavar="TEXT", help=f"{meaning} [{variable}]")
    what = parser.add_argument_group("what happens to an order")
    what.add_argument(
        "--ships-after",
        type=duration,
        default=0.0,
        metavar="DURATION",
        help="answer 202 and ship the first parcel after this time, each next one after the same time again",
    )
    what.add_argument(
        "--parcels", type=count, default=1, metavar="N", help="ship in up to N parcels (1 to 50)"
    )
    what.add_argument(
        "--delivers-after",
        type=duration,
        metavar="DURATION",
        help="deliver each parcel this long after it ships",
    )
    what.add_argument(
        "--refuses",
        action="append",
        default=[],
        metavar="LINE",
        help="refuse this line: its number (the first is 1) or its product's id; may be repeated",
    )
    what.add_argument(
        "--returns-after",
        type=duration,
        metavar="DURATION",
        help="receive one piece of the first line this long after the last parcel",
    )
    what.add_argument("--too-late", action="store_true", help="answer each cancellation that it is too late")
    how = parser.add_argument_group("how it calls the API")
    how.add_argument(
        "--late", type=duration, default=0.0, metavar="DURATION", help="call this long after the fact"
    )
    how.add_argument("--twice", action="store_true", help="send each call twice at the same time")
    how.add_argument(
        "--out-of-order",
        action="store_true",
        help="hold an order's calls until all its facts are true, then send them newest first",
    )
    how.add_argument("--silent", action="store_true", help="send no calls: only repeated requests get facts")
    how.add_argument(
        "--loses", type=share, default=0.0, metavar="SHARE", help="share of the calls without an answer"
    )
    how.add_argument(
        "--tries",
        type=count,
        metavar="N",
        help="give up a call after N tries without an answer; without this option it is always repeated",
    )
    errors = parser.add_argument_group("how it answers requests, each as a SHARE of them")
    for behavior in Behavior:
        if behavior is not Behavior.ACCEPT:
            errors.add_argument(
                f"--{behavior}",
                dest=behavior.name,
                type=share,
                default=0.0,
                metavar="SHARE",
                help=_MEANINGS[behavior],
            )
    return parser


def partner_for(arguments: Sequence[str] | None = None) -> tuple[FulfillmentPartner, int]:
    """Returns the fulfillment system that the command's arguments describe, and its port."""
    parser = options()
    chosen = parser.parse_args(arguments)
    if not chosen.secret:
        parser.error("no secret: use --secret or the environment variable FULFILLMENT_SECRET")
    if chosen.api_url and not chosen.api_key:
        parser.error("--api-url needs --api-key, or the environment variable API_KEY")
    partner = FulfillmentPartner(chosen.secret, seed=chosen.seed)
    partner.api = Api(chosen.api_url, chosen.api_key) if chosen.api_url else None
    partner.shipping = ShippingPlan(
        ships_after=chosen.ships_after,
        parcels=chosen.parcels,
        delivers_after=chosen.delivers_after,
        refuses=frozenset(chosen.refuses),
        returns_after=chosen.returns_after,
        too_late=chosen.too_late,
    )
    partner.calls = CallPlan(
        late=chosen.late,
        twice=chosen.twice,
        out_of_order=chosen.out_of_order,
        silent=chosen.silent,
        loses=chosen.loses,
        tries=chosen.tries,
    )
    shares = {behavior: part for behavior in Behavior if (part := getattr(chosen, behavior.name, 0.0))}
    if sum(shares.values()) > 1:
        parser.error(f"the shares of all behaviors are {sum(shares.values()):g} together. Use at most 1")
    partner.behavior = mixed_behavior(shares, chosen.seed)
    return partner, chosen.port


def main() -> int:
    """Serves until Ctrl-C."""
    bypass_proxies_for_loopback()
    partner, port = partner_for()
    with PartnerServer(partner, port, lambda line: print(line, flush=True)) as server:
        calls = f"calling {partner.api.url}" if partner.api else "no --api-url: sends no calls"
        try:
            print(f"serving on {server.url}, {calls}", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(partner.received)} requests, {len(partner.shipments)} orders shipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
