"""A fulfillment system that calls a receiver, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from local.partners.calls import CallPlan, sign_request
from local.partners.fulfillment import PartnerServer, partner_for
from local.partners.receiver import CallReceiver, ReceiverServer

SECRET = "a secret that must not be printed"
KEY = "a key that must not be printed"
LINES = {"lamp": 3, "desk": 1}


@dataclass
class Shop:
    """Sends orders to a fulfillment system as orderflow does, and receives its calls."""

    server: PartnerServer
    receiver: CallReceiver
    printed: list[str] = field(default_factory=list)

    def post(
        self, order_id: str = "o-1", *, attempt: int = 1, lines: dict[str, int] | None = None
    ) -> requests.Response:
        """Sends an order."""
        items = [{"productId": id_, "quantity": number} for id_, number in (lines or LINES).items()]
        self.receiver.orders[order_id] = lines or LINES
        return self.send({"orderId": order_id, "attempt": attempt, "items": items}, order_id)

    def cancel(self, order_id: str = "o-1") -> requests.Response:
        """Sends a cancellation."""
        return self.send({"orderId": order_id, "attempt": 1, "cancel": True}, f"{order_id}/cancel")

    def send(self, content: object, key: str) -> requests.Response:
        body = json.dumps(content).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Idempotency-Key": key,
            "X-Orderflow-Timestamp": timestamp,
            "X-Orderflow-Signature": sign_request(SECRET, timestamp, body),
        }
        return requests.post(self.server.url, data=body, headers=headers, timeout=5)

    def wait_for_calls(self, *, seconds: float = 10) -> list[tuple[str, int]]:
        """Waits until no call is left to send. Returns what each call reported, and its status."""
        wait_until(lambda: self.server.partner.waiting_calls == 0, seconds=seconds)
        return [(meaning(call.path, call.body), call.status) for call in self.receiver.calls]


def meaning(path: str, body: bytes) -> str:
    """Returns `parcel-1 shipped`, `parcel-1 delivered`, `refusal-1` or `return-1`."""
    name = path.rsplit("/", 1)[1]
    content = json.loads(body)
    if "shippedAt" in content:
        return f"{name} {'delivered' if 'deliveredAt' in content else 'shipped'}"
    return name


def wait_until(condition: Callable[[], Any], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "still waiting"
        time.sleep(0.01)


@contextmanager
def running(*arguments: str, calls: CallPlan | None = None) -> Iterator[Shop]:
    """Runs the fulfillment system with the command's arguments."""
    printed: list[str] = []
    receiver = CallReceiver(SECRET, KEY)
    with ReceiverServer(receiver) as api:
        connection: Sequence[str] = ("--secret", SECRET, "--api-url", api.url, "--api-key", KEY)
        partner, _ = partner_for([*connection, *arguments])
        if calls is not None:
            partner.calls = calls
        with PartnerServer(partner, 0, printed.append) as server:
            yield Shop(server, receiver, printed)
