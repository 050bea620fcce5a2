"""One stack per test process: the program on the embedded AWS, with IAM enforced.

Tests share the stack. Each makes its own users and products, and reads only its own orders.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from functions.shared.domain.orders import HistoryEntry, Order, OrderLine, OrderStatus
from functions.shared.persistence.orders import OrderRepository
from local.memory.event_schemas import check_event
from local.partners.fulfillment import FulfillmentPartner, PartnerServer
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
        """Create a record. Returns it."""
        answer = self.request("POST", path, body)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    def create_user(self) -> str:
        """Create a user. Returns its id."""
        return str(self.create("/users", {"name": "Ada", "email": f"{uuid.uuid4()}@example.com"})["userId"])

    def create_product(self, *, stock: int = 10, price: int = 1999) -> str:
        """Create a product. Returns its id."""
        return str(self.create("/products", {"title": "Lamp", "price": price, "stock": stock})["productId"])

    def place_order(self, user_id: str, quantities: Mapping[str, int]) -> str:
        """Place an order. Returns its id."""
        items = [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]
        return str(self.create("/orders", {"userId": user_id, "items": items})["orderId"])

    def stock(self, product_id: str) -> int:
        """Returns a product's stock."""
        return int(self.request("GET", f"/products/{product_id}").json()["stock"])

    def wait_until_final(self, order_id: str, *, seconds: float = 30) -> dict[str, Any]:
        """Returns the order once it is final. Fails after `seconds`."""
        order: dict[str, Any] = wait_for(
            lambda: self.request("GET", f"/orders/{order_id}").json(),
            lambda order: order["status"] in FINAL,
            seconds=seconds,
        )
        return order


def store_stalled_order(stack: RunningStack, order_id: str, user_id: str, product_id: str) -> None:
    """Store an order of two pieces that was placed long ago and has no message in the queue."""
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
        due_at=placed,
    )
    OrderRepository(stack.client("dynamodb"), stack.outputs["tableNames"]["orders"]).create(order)


def run_schedule(stack: RunningStack) -> dict[str, Any]:
    """Run the requeue, once no request to cancel runs it. Returns its report."""
    client = stack.client("lambda")

    def invoke() -> Any:
        try:
            return client.invoke(FunctionName=stack.functions["requeue_stalled_orders"], Payload=b"{}")
        except client.exceptions.TooManyRequestsException:
            return None

    answer = wait_for(invoke, lambda answer: answer is not None)
    report: dict[str, Any] = json.load(answer["Payload"])
    assert "FunctionError" not in answer, report
    return report


def wait_for(read: Callable[[], Any], wanted: Callable[[Any], bool], *, seconds: float = 30) -> Any:
    """Returns the value of `read` once `wanted` accepts it. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < deadline, f"still {value} after {seconds} s"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def server() -> Iterator[PartnerServer]:
    """A fulfillment system, still without its secret."""
    with PartnerServer(FulfillmentPartner("")) as running:
        yield running


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The stack `local`, deployed."""
    with running_stack() as running:
        sent = queue_of_all_events(running)
        yield running
        check_events(running, sent)


def queue_of_all_events(stack: RunningStack) -> str:
    """Subscribes a queue to every event of the stack. Returns its URL."""
    sqs, events, bus = stack.client("sqs"), stack.client("events"), stack.outputs["eventBusName"]
    url: str = sqs.create_queue(QueueName="every-event")["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events.put_rule(Name="every-event", EventBusName=bus, EventPattern='{"source": ["orderflow.orders"]}')
    target = {"Id": "every-event", "Arn": answer["Attributes"]["QueueArn"]}
    events.put_targets(Rule="every-event", EventBusName=bus, Targets=[target])
    return url


def check_events(stack: RunningStack, queue_url: str) -> None:
    """Checks every event that the tests' stack has sent against its documented schema."""
    sqs = stack.client("sqs")
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            event = json.loads(message["Body"])
            check_event(event["detail-type"], event["detail"])
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture(scope="session")
def api(stack: RunningStack) -> Api:
    """The stack's API."""
    return Api(stack.api_url, stack.api_keys["free"], stack.api_keys["paid"])
