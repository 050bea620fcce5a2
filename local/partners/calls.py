"""The calls of a fulfillment system to orderflow's API: signed, repeated until they are answered.

The calls of one order are sent one after the other, those of different orders at the same time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, NamedTuple

import requests

from local.partners.shipping import Fact
from local.terminal import visible

if TYPE_CHECKING:
    from local.partners.fulfillment import FulfillmentPartner

_CALLERS: Final = 8
_INTERVAL: Final = 0.02  # seconds between two searches for calls that are due
_TIMEOUT: Final = 10.0  # seconds that a call may take
_LONGEST_PAUSE: Final = 60.0  # seconds between two tries of a call


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """How a fulfillment system reports its facts. Times are in seconds."""

    late: float = 0.0  # from a fact to its call
    twice: bool = False  # sends each call twice, at the same time
    out_of_order: bool = False  # sends an order's calls once all its facts are true, newest first
    silent: bool = False  # sends no calls
    loses: float = 0.0  # share of the calls whose request or answer is lost
    tries: int | None = None  # of a call that gets no answer; None: without end
    pause: float = 1.0  # to the second try of a call; doubles with each further try


@dataclass(frozen=True)
class Api:
    """The API that is called, and the key for it."""

    url: str
    key: str = field(repr=False)


class Call(NamedTuple):
    """A call that reports a fact."""

    due: float
    order_id: str
    fact: Fact
    tried: int = 0

    @property
    def route(self) -> str:
        """The path, without stage and base path."""
        return f"/orders/{self.order_id}/{self.fact.kind}/{self.fact.id}"

    @property
    def body(self) -> bytes:
        """The body, as it is signed."""
        return json.dumps(self.fact.body).encode()


def sign_request(secret: str, timestamp: str, body: bytes) -> str:
    """Returns the signature of a request of orderflow."""
    return _sign(secret, timestamp.encode() + b"." + body)


def sign_call(secret: str, timestamp: str, route: str, body: bytes) -> str:
    """Returns the signature of a call to orderflow: also over method and route."""
    return _sign(secret, f"{timestamp}.PUT {route}.".encode() + body)


def _sign(secret: str, signed: bytes) -> str:
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def is_final(status: int) -> bool:
    """Returns whether an answer ends a call. After any other answer, and after none, it is repeated."""
    return 200 <= status < 300 or status in {400, 404, 409, 413, 422}


class Outbox:
    """The calls that are still to send. Not thread-safe."""

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan
        self._waiting: dict[str, deque[Call]] = {}  # by order, with those in flight
        self._next: list[Call] = []  # a heap with the first call of each order that has none in flight

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, order_id: str, facts: Sequence[Fact]) -> None:
        """Adds a call for each of the order's facts."""
        if self.plan.silent or not facts:
            return
        calls = [Call(fact.at + self.plan.late, order_id, fact) for fact in facts]
        if self.plan.out_of_order:
            # A return needs its shipment first.
            calls = sorted(calls, key=lambda call: (call.fact.kind == "returns", -call.due))
            calls = [call._replace(due=max(call.due for call in calls)) for call in calls]
        self._waiting[order_id] = deque(calls)
        heappush(self._next, calls[0])

    def take_due(self, now: float) -> list[Call]:
        """Returns the calls that are due. Each must be passed to `record`."""
        due: list[Call] = []
        while self._next and self._next[0].due <= now:
            due.append(heappop(self._next))
        return due

    def record(self, call: Call, status: int | None, now: float) -> None:
        """Records the answer to a call, or None for no answer. The order's next call may then be due."""
        calls = self._waiting[call.order_id]
        calls.popleft()
        tried = call.tried + 1
        is_repeated = self.plan.tries is None or tried < self.plan.tries
        if (status is None or not is_final(status)) and is_repeated:
            pause = min(self.plan.pause * 2 ** min(call.tried, 30), _LONGEST_PAUSE)
            calls.appendleft(call._replace(due=now + pause, tried=tried))
        if calls:
            heappush(self._next, calls[0])
        else:
            del self._waiting[call.order_id]


class Caller:
    """Sends the calls that are due, until it is stopped."""

    def __init__(self, partner: FulfillmentPartner, report: Callable[[str], object]) -> None:
        self._partner = partner
        self._report = report
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Starts to send."""
        self._thread.start()

    def stop(self) -> None:
        """Stops after the calls in flight."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with ThreadPoolExecutor(_CALLERS) as pool, ThreadPoolExecutor(_CALLERS) as copies:
            while not self._stopping.wait(_INTERVAL):
                if self._partner.api is not None:
                    for call in self._partner.take_due_calls():
                        pool.submit(self._send_as_planned, self._partner.api, call, copies)

    def _send_as_planned(self, api: Api, call: Call, copies: ThreadPoolExecutor) -> None:
        plan = self._partner.calls
        copy = copies.submit(self._send, api, call) if plan.twice else None
        draw = self._partner.chance.random() / plan.loses if plan.loses else 1.0
        status = None if draw < 0.5 else self._send(api, call)
        if draw < 1:
            self._report(f"lost         {call.route}")
            status = None
        if copy is not None:
            copied = copy.result()
            status = copied if status is None else status
        self._partner.record_answer(call, status)

    def _send(self, api: Api, call: Call) -> int | None:
        secret = self._partner.secret
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Api-Key": api.key,
            "X-Orderflow-Timestamp": timestamp,
            "X-Orderflow-Signature": sign_call(secret, timestamp, call.route, call.body),
        }
        try:
            answer = requests.put(
                api.url.rstrip("/") + call.route,
                data=call.body,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException:
            self._report(f"PUT      --- {call.route}")
            return None
        detail = "" if answer.ok else visible(f" {answer.text[:200]}")
        self._report(f"PUT      {answer.status_code} {call.route}{detail}")
        return answer.status_code
