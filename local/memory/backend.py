"""The whole backend in memory: the real functions, the real state machine, and a cloud that can fail.

What AWS does by itself (deliver again, retry, run the schedule) happens here when a test says so, and
`settle` does all of it until nothing is left to do. `check` holds what has become of everything to the
invariants.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import DomainError
from functions.shared.domain.orders import (
    LEGAL_MOVES,
    Order,
    OrderStatus,
    StatusChange,
    event_id_of,
    order_id_for,
    stock_allows,
)
from functions.shared.domain.products import Product
from functions.shared.domain.users import User
from functions.shared.persistence.dynamodb import from_item, struct_to_item
from local.memory.cloud import Cloud, Execution, Killed, Message
from local.memory.functions import ENVIRONMENT, ApiClient, HttpAnswer, LambdaContext, handler_of
from local.memory.iam import OUTSIDE, SECRET_ARN, grants
from local.memory.state_machine import Failure, Ok

START = datetime(2026, 1, 1, tzinfo=UTC)
USER = "u-1"
MAX_RECEIVES = 5  # of the queue's redrive policy

FUNCTIONS = (
    "orders_api",
    "products_api",
    "order_consumer",
    "validate_order",
    "fulfill_order",
    "release_order",
    "update_order_status",
    "requeue_stalled_orders",
)


@dataclass
class World:
    """The backend, its clients and its operator."""

    cloud: Cloud = field(default_factory=Cloud)
    is_outside: bool = False
    now: datetime = START
    shelved: dict[str, int] = field(default_factory=dict)  # pieces ever put on the shelf, by product
    surprises: list[Exception] = field(default_factory=list)  # errors that no task should end with

    # --- clients --------------------------------------------------------------------------------------------

    def stock_up(self, **pieces: int) -> None:
        """Create products (`p1=5`) and the one user; without any call."""
        at = self.time()
        tables = self.cloud.store.tables
        tables["users"].items[USER] = struct_to_item(User(USER, "Ada", "a@b", 1, at, at))
        for product, stock in pieces.items():
            record = Product(product, "Lamp", 100, "EUR", stock, 1, at, at)
            tables["products"].items[product] = struct_to_item(record)
            self.shelved[product] = stock

    def request(self, path: str, body: object = None, **headers: str) -> HttpAnswer | None:
        """POST to the API; None when the function died on it (a 502 for the client)."""
        try:
            return ApiClient().post(path, body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        except Killed:
            return None

    def place(self, key: str, *, tries: int = 3, **quantities: int) -> str:
        """Place an order under a key, as a client does who tries again until the answer is a success."""
        items = [{"productId": product, "quantity": pieces} for product, pieces in quantities.items()]
        for _ in range(tries):
            answer = self.request("/orders", {"userId": USER, "items": items}, Idempotency_Key=key)
            if answer is not None and answer.status in {200, 201}:
                break
        return order_id_for(USER, key)

    def cancel(self, order_id: str, *, tries: int = 3) -> int:
        """Cancel an order, until there is an answer that is not a failure; returns its status."""
        for _ in range(tries):
            answer = self.request(f"/orders/{order_id}/cancel")
            if answer is not None and answer.status < 500:
                return answer.status
        return 500

    # --- what AWS does by itself ----------------------------------------------------------------------------

    def deliver(self, count: int = 10) -> None:
        """Hand the oldest messages to the consumer; what fails comes back, and at last is a dead letter."""
        queue = self.cloud.queue
        batch = [queue.popleft() for _ in range(min(count, len(queue)))]
        if not batch:
            return
        try:
            answer = handler_of("order_consumer")({"Records": _records(batch)}, LambdaContext())
            failed = {int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]}
        except Killed:
            failed = set(range(len(batch)))
        for number in sorted(failed):
            message = batch[number]
            message.receives += 1
            (self.cloud.dead_letters if message.receives >= MAX_RECEIVES else queue).append(message)

    def step(self, execution: Execution) -> None:
        """Let an execution invoke its next function, once."""
        invocation = execution.next
        assert invocation is not None
        order_id, attempt = invocation.payload["orderId"], invocation.payload["attempt"]
        before = self.cloud.store.tables["orders"].items[order_id]
        try:
            # Through JSON, as the payload and the answer travel.
            payload = json.loads(json.dumps(invocation.payload))
            result = handler_of(invocation.function)(payload, LambdaContext())
            answer: Ok | Failure = Ok(json.loads(json.dumps(result)))
        except Killed:
            answer = Failure("Lambda.Unknown")
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, DomainError):
                self.surprises.append(error)
            answer = Failure.of(error)
        # A superseded attempt can change nothing any more.
        if int(before["attempt"]["N"]) != attempt and not self.cloud.hook.is_concurrent:
            assert self.cloud.store.tables["orders"].items[order_id] == before, invocation
        execution.tell(answer)

    def running(self) -> list[Execution]:
        """The executions that have not ended."""
        return [execution for execution in self.cloud.executions if execution.end is None]

    def work(self) -> None:
        """Deliver all messages and run all executions, until nothing of both is left."""
        while self.cloud.queue or self.running():
            self.deliver()
            for execution in self.running():
                self.step(execution)
            self.check_always()

    def stop_executions(self) -> None:
        """End all executions where they stand, as an outage would."""
        for execution in self.running():
            execution.steps.close()
            self.cloud.executions.remove(execution)

    def wait(self, minutes: float) -> None:
        """Let time pass."""
        self.now += timedelta(minutes=minutes)

    def requeue(self) -> Any:
        """Run the schedule; None when the function died or failed."""
        try:
            return handler_of("requeue_stalled_orders")({}, LambdaContext())
        except (Killed, ClientError, BotoCoreError):  # the next tick of the schedule invokes it again
            return None

    def settle(self, rounds: int = 30) -> None:
        """Let AWS do all that it does, until every order is final and every event is out."""
        for _ in range(rounds):
            self.work()
            if not self.cloud.queue and not any("openShard" in order for order in self._stored()):
                return
            self.wait(11)
            self.requeue()
            self.check_always()
        raise AssertionError(f"never settled: {self.orders()}")

    # --- the operator ---------------------------------------------------------------------------------------

    def retry(self, order_id: str, *, tries: int = 3) -> None:
        """Retry a failed order, and send it; an operator whose command dies gives it again."""
        from functions.orders_api import handler
        from functions.shared.order_queue import OrderMessage

        for _ in range(tries):
            with suppress(Killed, ClientError, BotoCoreError):
                order = handler._orders.get(order_id)
                if order.status is OrderStatus.FAILED:
                    order = handler._lifecycle.retry(order)
                handler._queue.send(OrderMessage(order_id, order.attempt, "operator"))
                return

    def release(self, order_id: str) -> None:
        """Put the goods of a failed order back, whatever the fulfillment system knows of it."""
        from functions.release_order import handler

        order = handler._orders.get(order_id)
        handler._orders.release(order, at=clock.now(), even_if_handed_over=True)

    # --- looking at it --------------------------------------------------------------------------------------

    def time(self) -> str:
        """The present time as the functions write it; a moment later each time, but for actors at once, to
        whom the order of their calls must be the only difference."""
        if not self.cloud.hook.is_concurrent:
            self.now += timedelta(milliseconds=1)
        return self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def orders(self) -> dict[str, Order]:
        """All orders as they are stored."""
        import msgspec

        return {item["orderId"]["S"]: msgspec.convert(from_item(item), Order) for item in self._stored()}

    def order(self, order_id: str) -> Order:
        """One order as it is stored."""
        return self.orders()[order_id]

    def status(self, order_id: str) -> str:
        """The status of one order."""
        return self.order(order_id).status.value

    def stock(self, product: str) -> int:
        """A product's stock on hand."""
        return int(self.cloud.store.tables["products"].items[product]["stock"]["N"])

    def _stored(self) -> list[Any]:
        return list(self.cloud.store.tables["orders"].items.values())

    # --- the invariants -------------------------------------------------------------------------------------

    def check_always(self) -> None:
        """What holds at every moment."""
        assert not self.cloud.iam.denied
        orders = self.orders()
        for order in orders.values():
            assert not order.is_open or (order.open_shard and order.open_since), f"forgotten: {order}"
            _check_history(order)
            if order.status not in {OrderStatus.PENDING, OrderStatus.VALIDATED}:
                held_for_an_operator = order.status is OrderStatus.FAILED
                assert stock_allows(order, order.status) or held_for_an_operator, order
        self._check_stock(orders)
        self._check_shipments(orders)
        for reservations in self.cloud.reservations.values():
            states = [state for state, _ in reservations]
            assert states == ["HELD", "RELEASED"] * (len(states) // 2) + ["HELD"] * (len(states) % 2)
            held = [attempt for state, attempt in reservations if state == "HELD"]
            assert len(held) == len(set(held)), f"held twice by one attempt: {reservations}"

    def check(self, *, all_announced: bool = True) -> None:
        """What holds when everything has settled. An event may be missing only if an execution was stopped
        between the move and its announcement."""
        assert self.surprises == []
        self.check_always()
        orders = self.orders()
        for order in orders.values():
            assert not order.is_open, order
            assert order.open_shard is None, order
            if order.status is OrderStatus.FAILED and order.holds_stock:
                assert "stay held" in (order.status_reason or ""), f"nobody is told: {order}"
            if order.status is OrderStatus.FULFILLED:
                expected = self.cloud.warehouse.shipments.get(order.order_id)
                assert order.shipment is not None
                assert order.shipment.shipment_id == (expected or f"shipment-{order.order_id}"), order
        self._check_events(orders, all_announced=all_announced)

    def _check_stock(self, orders: Mapping[str, Order]) -> None:
        for product, shelved in self.shelved.items():
            item = self.cloud.store.tables["products"].items.get(product)
            if item is None:
                continue
            on_hand = int(item["stock"]["N"])
            taken = sum(
                line.quantity
                for order in orders.values()
                if order.holds_stock
                for line in order.items
                if line.product_id == product
            )
            assert on_hand >= 0
            assert on_hand + taken == shelved, (product, on_hand, taken, shelved)

    def _check_shipments(self, orders: Mapping[str, Order]) -> None:
        for order_id, contents in self.cloud.warehouse.contents.items():
            order = orders[order_id]
            assert contents == {line.product_id: line.quantity for line in order.items}
            assert order.is_handed_over, f"shipped, but not held: {order}"

    def _check_events(self, orders: Mapping[str, Order], *, all_announced: bool) -> None:
        expected = {}
        for order in orders.values():
            for number, entry in enumerate(order.history):
                if entry.status is OrderStatus.PENDING:
                    continue
                previous = order.history[number - 1].status
                change = StatusChange(number, entry.status, previous, entry.at, entry.reason)
                expected[event_id_of(order.order_id, change)] = (
                    order.order_id,
                    entry.status,
                    previous,
                    entry.at,
                )
        announced = {
            event["eventId"]: (
                event["orderId"],
                event["status"],
                event["previousStatus"],
                event["occurredAt"],
            )
            for event in self.cloud.events
        }
        assert announced.items() <= expected.items()
        assert announced == expected or not all_announced
        assert len({json.dumps(event, sort_keys=True) for event in self.cloud.events}) == len(announced)


def _check_history(order: Order) -> None:
    statuses = [entry.status for entry in order.history]
    assert statuses[0] is OrderStatus.PENDING
    assert statuses[-1] is order.status
    for before, after in pairwise(statuses):
        assert after in LEGAL_MOVES[before], order
    if order.total is not None:
        assert order.total == sum((line.unit_price or 0) * line.quantity for line in order.items)


def _records(batch: list[Message]) -> list[dict[str, Any]]:
    return [
        {
            "messageId": str(number),
            "receiptHandle": "r",
            "body": message.body,
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        for number, message in enumerate(batch)
    ]


@contextmanager
def installed(world: World) -> Iterator[World]:
    """Put the functions into this world: its cloud, its clock, its configuration."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        for function in FUNCTIONS:
            handler_of(function)
        from functions.fulfill_order import client
        from functions.fulfill_order import handler as fulfilling
        from functions.requeue_stalled_orders import handler as requeueing
        from functions.requeue_stalled_orders.signs_of_life import Executions, never_running
        from functions.shared import aws

        cloud = world.cloud
        workflow = "EXPRESS" if cloud.is_express else "STANDARD"
        cloud.iam.granted = grants(workflowType=workflow, **(OUTSIDE if world.is_outside else {}))

        def make_api_call(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
            return cloud.call(client.meta.service_model.service_name, operation, request)

        stack.enter_context(patch("botocore.client.BaseClient._make_api_call", make_api_call))
        stack.enter_context(patch.object(clock, "now", world.time))
        executions = Executions(aws.client("stepfunctions"), ENVIRONMENT["STATE_MACHINE_ARN"])
        is_running = never_running if cloud.is_express else executions.is_running
        stack.enter_context(patch.object(requeueing, "_is_running", is_running))
        outside = None
        if world.is_outside:
            secret = client.SigningSecret(lambda: aws.client("secretsmanager"), SECRET_ARN)
            outside = client.FulfillmentClient(urlsplit("https://warehouse"), secret, cloud.post)
        stack.enter_context(patch.object(fulfilling, "_fulfillment_system", outside))
        yield world
