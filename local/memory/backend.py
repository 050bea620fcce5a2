"""The whole backend in memory: the real functions and the real state machine on a simulated AWS.

Unit tests, crash tests and measurements use it. Deliveries, executions and the schedule run only when a
caller runs them. `run_until_idle` runs all of them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from components.packaging import function_names
from functions.shared import clock
from functions.shared.domain.baskets import Basket
from functions.shared.domain.errors import DomainError
from functions.shared.domain.ids import order_id_for
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.domain.products import Product
from functions.shared.domain.users import User
from functions.shared.persistence.dynamodb import from_item, struct_to_item, to_item
from local.memory.cloud import Execution, Hook, Killed, MemoryCloud
from local.memory.functions import (
    ACCOUNT,
    ENVIRONMENT,
    REGION,
    ApiClient,
    HttpAnswer,
    handler_of,
    invoke,
    invoke_task,
)
from local.memory.iam import FULFILLMENT_SYSTEM, SECRET_ARN, grants
from local.memory.invariants import check_invariants
from local.memory.queues import Message
from local.memory.state_machine import UPDATE_ITEM, Failure, Ok
from local.partners.calls import sign_call
from local.partners.fulfillment import FulfillmentPartner

_FUNCTIONS = function_names()
START = datetime(2026, 6, 1, tzinfo=UTC)
USER = "u-1"
MAX_RECEIVES = 5  # of the queue's redrive policy
OUTPUTS = {
    "tableNames": {name: name for name in ("users", "products", "orders", "baskets", "emails", "requests")},
    "queueUrl": ENVIRONMENT["ORDERS_QUEUE_URL"],
    "deadLetterQueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/orders-dead-letters",
    "stateMachineArn": ENVIRONMENT["STATE_MACHINE_ARN"],
    "eventBusName": ENVIRONMENT["EVENT_BUS_NAME"],
    "stalledAfterMinutes": int(ENVIRONMENT["STALLED_AFTER_MINUTES"]),
}
"""The exports of the stack that `ops` reads."""


@dataclass
class MemoryBackend:
    """The backend, its clients and its operator. Use it within `installed`."""

    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    uses_fulfillment_system: bool = False
    paused: list[float] = field(default_factory=list)  # seconds of each pause, which takes no time here
    api: ApiClient = field(default_factory=ApiClient)
    now: datetime = START
    pieces_added: dict[str, int] = field(default_factory=dict)  # to the stock, by product
    unexpected_errors: list[Exception] = field(default_factory=list)  # of tasks
    _events_taken: int = 0
    _orders_read: dict[str, tuple[Any, Order]] = field(default_factory=dict)  # item and order, by id

    def __post_init__(self) -> None:
        """Gives the fulfillment system the clock of the backend."""
        self.cloud.partner = FulfillmentPartner("s3cret", now=self.seconds)

    # --- initial data ---------------------------------------------------------------------------------------

    def add_products(self, **pieces: int) -> None:
        """Stores products (`p1=5`) and the one user, without an API call."""
        at = self.tick()
        self.put("users", User(USER, "Ada", "a@b", 1, at, at))
        for product, stock in pieces.items():
            self.put("products", Product(product, "Lamp", 100, "EUR", stock, 1, at, at))
            self.pieces_added[product] = stock

    def put(self, table: str, record: msgspec.Struct | Mapping[str, Any]) -> None:
        """Stores a record without an API call. Replaces one with the same key."""
        item = struct_to_item(record) if isinstance(record, msgspec.Struct) else to_item(record)
        stored = self.cloud.store.tables[table]
        stored.items[item[stored.key]["S"]] = item

    def create_user(self) -> str:
        """Creates a user over the API, and returns the id."""
        number = self.count("users")
        answer = self.api.post("/users", {"name": "Ada", "email": f"ada-{number}@example.com"})
        return str(answer.body["userId"])

    def create_product(self, *, price: int = 1999, stock: int = 10, **fields: object) -> str:
        """Creates a product over the API, and returns the id."""
        answer = self.api.post("/products", {"title": "Lamp", "price": price, "stock": stock, **fields})
        return str(answer.body["productId"])

    def create_order(self, user_id: str, quantities: Mapping[str, int], **kwargs: Any) -> str:
        """Places an order of these products over the API, and returns the id."""
        body = {"userId": user_id, "items": _items(quantities)}
        return str(self.api.post("/orders", body, **kwargs).body["orderId"])

    def fill_basket(self, user_id: str, quantities: Mapping[str, int]) -> HttpAnswer:
        """Puts these products into a user's basket over the API. Returns the last response."""
        for product, quantity in quantities.items():
            answer = self.api.put(f"/users/{user_id}/basket/items/{product}", {"quantity": quantity})
        return answer

    def check_out(self, user_id: str, body: object = None, **kwargs: Any) -> HttpAnswer:
        """Checks out a user's basket over the API."""
        return self.api.post(f"/users/{user_id}/basket/checkout", body or {}, **kwargs)

    def create_validated_order(self, quantities: Mapping[str, int]) -> str:
        """Places an order and runs the workflow until it is VALIDATED. Returns the id."""
        order_id = self.create_order(self.create_user(), quantities)
        pricing = invoke_task("validate_order", order_id)
        invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)
        return order_id

    def reserve(self, order_id: str, attempt: int = 1) -> Any:
        """Runs FulfillOrder, and returns the order's next status with its parcel."""
        order = self.stored_order(order_id)
        pricing = {"items": order["items"], "total": order.get("total", 0), "currency": "EUR"}
        return invoke_task("fulfill_order", order_id, attempt, pricing=pricing)

    def set_order(self, order_id: str, **attributes: object) -> None:
        """Overwrites attributes of a stored order, for states that are hard to reach."""
        self.put("orders", {**self.stored_order(order_id), **attributes})

    def measure_oldest_message(self, seconds: float, *, minutes_ago: int = 0) -> None:
        """Records the age of the oldest message, as SQS reports it to CloudWatch."""
        at = self.now - timedelta(minutes=minutes_ago)
        self.cloud.oldest_message_ages.append((at, seconds))

    # --- clients --------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, body: object = None, **options: Any) -> HttpAnswer | None:
        """Sends a request. Returns None when the function was killed, for which a client gets 502."""
        try:
            return self.api.request(method, path, body, **options)
        except Killed:
            return None

    def post(self, path: str, body: object = None, **options: Any) -> HttpAnswer | None:
        """Sends a POST. Returns None when the function was killed, for which a client gets 502."""
        return self.send("POST", path, body, **options)

    def place_order(self, key: str, *, tries: int = 3, **quantities: int) -> str:
        """Places an order under an idempotency key, and repeats until it succeeds. Returns the id."""
        for _ in range(tries):
            body = {"userId": USER, "items": _items(quantities)}
            answer = self.post("/orders", body, headers={"Idempotency-Key": key})
            if answer is not None and answer.status in {200, 201}:
                break
        return order_id_for(self.api.api_key_id, USER, key)

    def order_basket(self, *, version: int | None = None, tries: int = 3) -> int:
        """Checks out the basket of the one user, and repeats while the API fails. Returns the last status.

        With `version` the checkout has an `If-Match`.
        """
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        for _ in range(tries):
            answer = self.post(f"/users/{USER}/basket/checkout", {}, headers=headers)
            if answer is not None and answer.status < 500:
                return answer.status
        return 500

    def cancel_order(self, order_id: str, *, tries: int = 3) -> int:
        """Cancels an order, and repeats while the API fails. Returns the last status code."""
        for _ in range(tries):
            answer = self.post(f"/orders/{order_id}/cancel")
            if answer is not None and answer.status < 500:
                return answer.status
        return 500

    # --- the fulfillment system -----------------------------------------------------------------------------

    def deliver_reports(self, *, twice: bool = False) -> None:
        """Sends the fulfillment system's calls that are due, each once or twice. It repeats failed ones."""
        partner = self.cloud.partner
        while calls := partner.take_due_calls():
            for call in calls:
                for _ in range(1 + twice):
                    answer = self.report(call.route, call.body)
                partner.record_answer(call, answer.status if answer else None)

    def report(self, route: str, body: bytes | object) -> HttpAnswer | None:
        """Sends a signed PUT, as the fulfillment system does. Returns None when the function was killed."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        timestamp = str(int(self.seconds()))
        signature = sign_call(self.cloud.partner.secret, timestamp, route, raw)
        headers = {"X-Orderflow-Timestamp": timestamp, "X-Orderflow-Signature": signature}
        return self.send("PUT", route, raw.decode(), headers=headers)

    # --- AWS: deliveries, executions, schedule --------------------------------------------------------------

    def deliver_messages(self, count: int = 10) -> None:
        """Delivers the oldest messages to the consumer. Failed ones return, or become dead letters."""
        queue = self.cloud.queue
        batch = [queue.popleft() for _ in range(min(count, len(queue)))]
        if not batch:
            return
        try:
            answer = invoke("order_consumer", {"Records": _records(batch)})
            failed = {int(failure["itemIdentifier"]) for failure in answer["batchItemFailures"]}
        except Killed:
            failed = set(range(len(batch)))
        for number in sorted(failed):
            message = batch[number]
            message.receives += 1
            (self.cloud.dead_letters if message.receives >= MAX_RECEIVES else queue).append(message)

    def step(self, execution: Execution) -> None:
        """Runs the next task of an execution, once."""
        invocation = execution.next
        assert invocation is not None
        order_id, _, attempt = execution.name.rpartition("-")
        before = self.cloud.store.tables["orders"].items.get(order_id)
        try:
            answer: Ok | Failure
            if invocation.function == UPDATE_ITEM:
                answer = self.cloud.update_item(invocation.payload)
            else:
                answer = Ok(invoke(invocation.function, invocation.payload))
        except Killed:
            answer = Failure("Lambda.Unknown")
        except Exception as error:  # noqa: BLE001
            if not isinstance(error, DomainError):
                self.unexpected_errors.append(error)
            answer = Failure.of(error)
        # An execution of an earlier attempt changes nothing.
        if before and before["attempt"]["N"] != attempt and not self.cloud.hook.is_concurrent:
            assert self.cloud.store.tables["orders"].items[order_id] == before, invocation
        execution.proceed(answer)

    def running_executions(self) -> list[Execution]:
        """Returns the executions that have not ended."""
        return [execution for execution in self.cloud.executions if execution.end is None]

    def run_workflow(self) -> None:
        """Delivers all messages and runs all executions to their end."""
        while self.cloud.queue or self.running_executions():
            self.deliver_messages()
            for execution in self.running_executions():
                self.step(execution)
            check_invariants(self)

    def stop_executions(self) -> None:
        """Ends all executions in their current state, as an outage does."""
        for execution in self.running_executions():
            execution.steps.close()
            self.cloud.executions.remove(execution)

    def wait(self, minutes: float) -> None:
        """Advances the clock."""
        self.now += timedelta(minutes=minutes)

    def run_schedule(self) -> Any:
        """Runs the requeue. Returns its report, or None when it was killed or failed."""
        try:
            return invoke("requeue_stalled_orders", {})
        except (Killed, ClientError, BotoCoreError):  # the next scheduled run repeats it
            return None

    def run_until_idle(self, rounds: int = 30) -> None:
        """Runs the workflow, the schedule and the fulfillment system's calls until nothing is left to do.

        Then every order is final and has its order events.
        """
        for _ in range(rounds):
            self.run_workflow()
            waiting = [order for order in self.orders().values() if order.open_shard is not None]
            is_reporting = self.cloud.partner.waiting_calls > 0
            if not (self.cloud.queue or waiting or is_reporting):
                return
            is_silent = all(order.status is OrderStatus.IN_FULFILLMENT for order in waiting)
            self.wait(49 * 60 if is_silent and not is_reporting else 11)
            self.deliver_reports()
            self.run_schedule()
            check_invariants(self)
        raise AssertionError(f"still not idle: {self.orders()}")

    # --- the operator ---------------------------------------------------------------------------------------

    def retry_order(self, order_id: str, *, tries: int = 3) -> None:
        """Runs `ops orders retry`, and repeats when the command fails."""
        from ops import orders

        for _ in range(tries):
            with suppress(Killed, ClientError, BotoCoreError, orders.NotQueued):
                orders.retry(ops_target(), order_id)
                return

    def release_reservation(self, order_id: str) -> None:
        """Runs `ops orders release`."""
        from ops import orders

        orders.release(ops_target(), order_id)

    # --- stored data ----------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """Returns the current time as seconds since 1970."""
        return self.now.timestamp()

    def tick(self) -> str:
        """Returns the current time as the functions write it, and advances it by a millisecond.

        Concurrent actors get equal times, so that only the order of their calls differs.
        """
        if not self.cloud.hook.is_concurrent:
            self.now += timedelta(milliseconds=1)
        return self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def baskets(self) -> list[Basket]:
        """Returns all stored baskets, with the expired ones."""
        items = self.cloud.store.tables["baskets"].items.values()
        return [msgspec.convert(from_item(item), Basket) for item in items]

    def orders(self) -> dict[str, Order]:
        """Returns all stored orders by id."""
        orders = {}
        for order_id, item in self.cloud.store.tables["orders"].items.items():
            # Stored items are never changed in place.
            read, order = self._orders_read.get(order_id, (None, None))
            if order is None or read is not item:
                order = msgspec.convert(from_item(item), Order)
                self._orders_read[order_id] = item, order
            orders[order_id] = order
        return orders

    def order(self, order_id: str) -> Order:
        """Returns one stored order."""
        return self.orders()[order_id]

    def stored_order(self, order_id: str) -> dict[str, Any]:
        """Returns the attributes of one stored order."""
        return from_item(self.cloud.store.tables["orders"].items[order_id])

    def status(self, order_id: str) -> str:
        """Returns the status of one order."""
        return self.order(order_id).status.value

    def stock(self, product_id: str) -> int:
        """Returns a product's stock on hand."""
        return int(self.cloud.store.tables["products"].items[product_id]["stock"]["N"])

    def count(self, table: str) -> int:
        """Returns the number of items in a table."""
        return len(self.cloud.store.tables[table].items)

    def take_messages(self) -> list[Any]:
        """Removes all messages from the orders queue, and returns their decoded bodies."""
        bodies = [json.loads(message.body) for message in self.cloud.queue]
        self.cloud.queue.clear()
        return bodies

    def take_events(self) -> list[Any]:
        """Returns the events since the last call, as an EventBridge target receives them."""
        new = self.cloud.events[self._events_taken :]
        self._events_taken = len(self.cloud.events)
        return [
            {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": entry["Detail"]}
            for entry in new
        ]

    def failed_orders(self) -> list[str]:
        """Returns the ids of all FAILED orders, sorted."""
        orders = self.orders().values()
        return sorted(order.order_id for order in orders if order.status is OrderStatus.FAILED)

    @contextmanager
    def hooked(self, hook: Hook) -> Iterator[None]:
        """Runs this hook around all calls. Replaces the current one until the end of the `with` block."""
        current, self.cloud.hook = self.cloud.hook, hook
        try:
            yield
        finally:
            self.cloud.hook = current


def _items(quantities: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]


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


@cache
def ops_target() -> Any:
    """Returns the stack in memory as the operator's commands see it."""
    from ops.stacks import on_aws

    return on_aws("the stack in memory", OUTPUTS)


@contextmanager
def _environment() -> Iterator[None]:
    """Sets the functions' environment. `patch.dict` copies all variables: longer than a request takes."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    changed = {name: value for name, value in ENVIRONMENT.items() if before[name] != value}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            value = before[name]
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _replaced(*attributes: tuple[Any, str, Any]) -> Iterator[None]:
    """Replaces attributes of objects: as `patch.object` does, without its cost."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in attributes]
    try:
        for owner, name, value in attributes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


@contextmanager
def installed(backend: MemoryBackend) -> Iterator[MemoryBackend]:
    """Connects the functions in this process to a backend: its cloud, clock and configuration."""
    with ExitStack() as stack:
        stack.enter_context(_environment())
        for function in _FUNCTIONS:
            handler_of(function)
        from functions.fulfill_order import handler as fulfilling
        from functions.reports_api import handler as reporting
        from functions.requeue_stalled_orders import handler as requeueing
        from functions.requeue_stalled_orders.executions import Executions, never_running
        from functions.shared import aws, signatures
        from functions.shared import fulfillment_client as client
        from functions.shared.signatures import SigningSecret

        cloud = backend.cloud
        workflow = "EXPRESS" if cloud.is_express else "STANDARD"
        is_used = backend.uses_fulfillment_system
        fulfillment = FULFILLMENT_SYSTEM if is_used else {}
        cloud.iam.granted = grants(workflowType=workflow, **fulfillment)

        def make_api_call(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
            return cloud.call(client, operation, request)

        executions = Executions(aws.client("stepfunctions"), ENVIRONMENT["STATE_MACHINE_ARN"])
        wall_clock = SimpleNamespace(time=backend.seconds, monotonic=time.monotonic)

        def new_secret() -> SigningSecret | None:
            # Each function reads the secret itself, under its own grants.
            return SigningSecret(lambda: aws.client("secretsmanager"), SECRET_ARN) if is_used else None

        def new_client() -> client.FulfillmentClient | None:
            secret = new_secret()
            return (
                client.FulfillmentClient(urlsplit("https://fulfillment"), secret, cloud.post)
                if secret
                else None
            )

        stack.enter_context(
            _replaced(
                (BaseClient, "_make_api_call", make_api_call),
                (clock, "now", backend.tick),
                (clock, "pause", backend.paused.append),
                *(((client, "time", wall_clock), (signatures, "time", wall_clock)) if is_used else ()),
                (requeueing, "_is_running", never_running if cloud.is_express else executions.is_running),
                (requeueing, "_fulfillment_system", new_client()),
                (requeueing, "_overdue_hours", 48),
                (fulfilling, "_fulfillment_system", new_client()),
                (fulfilling, "_overdue_minutes", 48 * 60),
                (reporting, "_secret", new_secret()),
                (reporting._reporting, "_overdue_hours", 48),
            )
        )
        yield backend
