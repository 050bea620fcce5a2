"""The real program on the embedded AWS, with IAM enforced: one stack per test process, shared by its tests.

Tests make their own users and products, and look only at their own orders.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from functions.shared.domain.orders import HistoryEntry, Order, OrderLine, OrderStatus
from functions.shared.persistence.orders import OrderRepository
from local.stack import RunningStack, running_stack

FINAL = frozenset({"FULFILLED", "REJECTED", "CANCELLED", "FAILED"})


@dataclass(frozen=True)
class Api:
    """The deployed API over real HTTP."""

    url: str
    free_key: str
    paid_key: str

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> requests.Response:
        """Send one request, with the paid key unless another one (or "" for none) is given."""
        key = self.paid_key if key is None else key
        sent = {**({"x-api-key": key} if key else {}), **(headers or {})}
        return requests.request(method, self.url + path, json=body, headers=sent, timeout=30, **kwargs)

    def create(self, path: str, body: object) -> dict[str, Any]:
        """POST, and answer what was created."""
        answer = self.request("POST", path, body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def user(self) -> str:
        """The id of a new user."""
        return str(self.create("/users", {"name": "Ada", "email": "ada@example.com"})["userId"])

    def product(self, *, stock: int = 10, price: int = 1999) -> str:
        """The id of a new product."""
        return str(self.create("/products", {"title": "Lamp", "price": price, "stock": stock})["productId"])

    def order(self, user_id: str, quantities: Mapping[str, int]) -> str:
        """The id of a new order."""
        items = [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]
        return str(self.create("/orders", {"userId": user_id, "items": items})["orderId"])

    def stock(self, product_id: str) -> int:
        """A product's stock on hand."""
        return int(self.request("GET", f"/products/{product_id}").json()["stock"])

    def final(self, order_id: str, *, seconds: float = 30) -> dict[str, Any]:
        """The order once it is final; fails when that takes longer."""
        order: dict[str, Any] = eventually(
            lambda: self.request("GET", f"/orders/{order_id}").json(),
            lambda order: order["status"] in FINAL,
            seconds=seconds,
        )
        return order


def forget_order(stack: RunningStack, order_id: str, user_id: str, product_id: str) -> None:
    """Store an order of two pieces from long ago whose message was lost."""
    placed = "2026-01-01T00:00:00.000Z"
    order = Order(
        order_id=order_id,
        user_id=user_id,
        items=[OrderLine(product_id=product_id, quantity=2)],
        status=OrderStatus.PENDING,
        history=[HistoryEntry(status=OrderStatus.PENDING, at=placed)],
        attempt=1,
        created_at=placed,
        updated_at=placed,
        open_since=placed,
    )
    OrderRepository(stack.client("dynamodb"), stack.outputs["tableNames"]["orders"]).create(order)


def run_schedule(stack: RunningStack) -> dict[str, Any]:
    """Run the requeue of stalled orders at once; its report."""
    requeue = stack.functions["requeue_stalled_orders"]
    answer = stack.client("lambda").invoke(FunctionName=requeue, Payload=b"{}")
    report: dict[str, Any] = json.load(answer["Payload"])
    assert "FunctionError" not in answer, report
    return report


def eventually(read: Callable[[], Any], wanted: Callable[[Any], bool], *, seconds: float = 30) -> Any:
    """What `read` answers once it is as wanted; fails when that takes longer."""
    deadline = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < deadline, f"still {value} after {seconds} s"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The stack `local`, deployed."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="session")
def api(stack: RunningStack) -> Api:
    """The stack's API."""
    return Api(stack.api_url, stack.api_keys["free"], stack.api_keys["paid"])
