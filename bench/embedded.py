"""Measures the paths of `bench/order_paths.py` on the embedded AWS.

Each call is intercepted between the functions and the emulator. The recorded calls are therefore those that
the deployed functions send, under their own roles. Transitions are counted from the executions' histories.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bench.billing import BilledCall, Item, Ledger, TableSchema, Units, add
from bench.order_paths import CONTENTS, TWO_PARCELS
from local.aws.wire import Interceptor, Request, Response, intercept_calls
from local.engine.stacks import table_schemas
from local.partners.calls import Api
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from local.stack import RunningStack, running_stack

_T = TypeVar("_T")

FINAL: Final = frozenset({"FULFILLED", "DELIVERED", "REJECTED", "CANCELLED", "FAILED"})


@dataclass(frozen=True, kw_only=True)
class EmbeddedUse:
    """The calls and transitions of one order on the embedded AWS."""

    calls: tuple[BilledCall, ...]
    transitions: int

    @property
    def units(self) -> Units:
        """The billed units of all calls."""
        total: Units = {}
        for call in self.calls:
            add(total, call.units)
        return total


@dataclass
class StackClient:
    """A client of a running stack."""

    stack: RunningStack
    _key: str = field(init=False)

    def __post_init__(self) -> None:
        self._key = self.stack.api_keys["paid"]

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        """Sends a POST and returns the decoded body. Raises urllib's HTTPError."""
        request = urllib.request.Request(  # noqa: S310  loopback
            self.stack.api_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-api-key": self._key, "Content-Type": "application/json", **headers},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def create_order(
        self, user: str, products: list[str], quantity: int = 2, *, key: str | None = None, **fields: Any
    ) -> str:
        """Creates an order with one line per product, under an idempotency key if given. Returns the id."""
        lines = [{"productId": product, "quantity": quantity} for product in products]
        headers = {} if key is None else {"Idempotency-Key": key}
        return str(self.post("/orders", {"userId": user, "items": lines, **fields}, **headers)["orderId"])

    def create_user(self) -> str:
        """Creates a user and returns the id."""
        return str(self.post("/users", {"name": "Ada", "email": f"{uuid.uuid4()}@example.com"})["userId"])

    def create_product(self, stock: int) -> str:
        """Creates a product and returns the id."""
        return str(self.post("/products", {"title": "Desk lamp", "price": 1999, "stock": stock})["productId"])

    def status(self, order: str) -> str:
        """Returns an order's status from the table."""
        answer = self.stack.client("dynamodb").get_item(
            TableName=self.stack.outputs["tableNames"]["orders"],
            Key={"orderId": {"S": order}},
            ConsistentRead=True,
        )
        return str(answer["Item"]["status"]["S"])


def measure_all_paths_embedded() -> dict[str, EmbeddedUse]:
    """Measures every path of `bench/order_paths.py`. Takes about twenty seconds."""
    with _recorded({}) as recorded:
        used = {
            "fulfilled": recorded.run("FULFILLED", ["a", "b"]),
            **{name: recorded.run("FULFILLED", ["a", "b"], **fields) for name, fields in CONTENTS.items()},
            "rejected, unknown product": recorded.run("REJECTED", ["a", "no-such-product"]),
            "rejected, out of stock": recorded.run("REJECTED", ["a", "rare"]),
        }
        used["cancelled before the workflow"] = recorded.run("CANCELLED", ["a", "b"], cancel=True)
    partner = FulfillmentPartner("")
    partner.plan.append(Behavior.REFUSE)
    with (
        PartnerServer(partner) as server,
        _recorded({"fulfillmentUrl": f"{server.url}orders"}) as recorded,
    ):
        partner.secret = str(recorded.client.stack.signing_secret)
        used["refused and released"] = recorded.run("FAILED", ["a", "b"])
        partner.shipping = TWO_PARCELS
        used["delivered in two parcels"] = recorded.run("DELIVERED", ["a", "b"], partner=partner)
    return used


@dataclass
class _Recorded:
    """A running stack whose AWS calls are recorded."""

    client: StackClient
    ledger: Ledger
    user: str
    products: Mapping[str, str]

    def run(
        self,
        end: str,
        products: list[str],
        *,
        cancel: bool = False,
        partner: FulfillmentPartner | None = None,
        **fields: Any,
    ) -> EmbeddedUse:
        """Creates an order, waits until its execution has ended, and returns its calls.

        A `partner` sends its reports after that.
        """
        self.ledger.calls.clear()
        with self._paused_consumer() if cancel else nullcontext():
            lines = [self.products.get(name, name) for name in products]
            order = self.client.create_order(self.user, lines, **fields)
            if cancel:
                self.client.post(f"/orders/{order}/cancel")
        arn = self._execution(order)
        states = self.client.stack.client("stepfunctions")
        _await(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", order)
        if partner is not None:
            partner.api = Api(self.client.stack.api_url, self.client.stack.api_keys["paid"])
            _await(lambda: partner.waiting_calls == 0, order)
        if self.client.status(order) != end:
            raise RuntimeError(f"the order is {self.client.status(order)}, expected {end}")
        history = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        entered = sum(event["type"].endswith("StateEntered") for event in history)
        return EmbeddedUse(calls=tuple(self.ledger.calls), transitions=entered)

    def _execution(self, order: str) -> str:
        machine = str(self.client.stack.outputs["stateMachineArn"])
        states = self.client.stack.client("stepfunctions")

        def found() -> str | None:
            executions = states.list_executions(stateMachineArn=machine)["executions"]
            return next((one["executionArn"] for one in executions if one["name"].startswith(order)), None)

        return _await(found, order)

    @contextmanager
    def _paused_consumer(self) -> Iterator[None]:
        """Keeps order_consumer from receiving messages."""
        functions = self.client.stack.client("lambda")
        (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        time.sleep(1.5)  # a poll may be under way
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def _await(probe: Callable[[], _T | None], order: str) -> _T:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.1)
    raise RuntimeError(f"the execution or the reports of order {order} did not end within 30 s")


@contextmanager
def _recorded(settings: Mapping[str, Any]) -> Iterator[_Recorded]:
    """Starts a stack and records all AWS calls of its functions."""
    with running_stack(config=settings) as stack:
        dynamodb = stack.client("dynamodb")
        logical = {physical: name for name, physical in stack.outputs["tableNames"].items()}
        schemas = {name: TableSchema.of(schema) for name, schema in table_schemas().items()}

        def peek(table: str, key: str) -> Item | None:
            name = schemas[logical[table]].key
            item: Item | None = dynamodb.get_item(
                TableName=table, Key={name: {"S": key}}, ConsistentRead=True
            ).get("Item")
            return item

        ledger = Ledger(schemas=schemas, peek=peek, logical=lambda table: logical[table])
        with intercept_calls(stack.endpoint, stack.functions, _recording_in(ledger)):
            client = StackClient(stack)
            products = {
                name: client.create_product(stock) for name, stock in (("a", 100), ("b", 100), ("rare", 1))
            }
            yield _Recorded(client=client, ledger=ledger, user=client.create_user(), products=products)


def _recording_in(ledger: Ledger) -> Interceptor:
    """Returns an interceptor that forwards one call at a time and records it."""
    lock = threading.Lock()

    def intercept(request: Request, forward: Callable[[], Response]) -> Response:
        if request.service in {"cloudwatch", "secretsmanager"}:
            return forward()  # of the requeue and of a cold start, not of an order
        operation, parameters = request.operation, request.parameters
        with lock:
            before = ledger.begin(operation, parameters)
            response = forward()
            ledger.finish(request.service, operation, parameters, response.body, before, response.error)
        return response

    return intercept
