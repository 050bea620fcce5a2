"""The same paths on the embedded AWS, counted on the wire.

Each call is written down as it passes between the functions and the emulator, so that what is counted is what
the deployed functions really send, under their own roles. Executions are counted from their histories,
invocations of the queue's consumer and of the API from what was sent.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bench.billing import BilledCall, Item, Ledger, TableSchema, Units, add
from local.aws.wire import Interceptor, Request, Response, intercept_calls
from local.engine.stacks import table_schemas
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from local.stack import RunningStack, running_stack

_T = TypeVar("_T")

FINAL: Final = frozenset({"FULFILLED", "REJECTED", "CANCELLED", "FAILED"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one order used on the embedded AWS."""

    calls: tuple[BilledCall, ...]
    transitions: int

    @property
    def units(self) -> Units:
        """All that its calls cost."""
        total: Units = {}
        for call in self.calls:
            add(total, call.units)
        return total


@dataclass
class Shop:
    """A client of a running stack."""

    stack: RunningStack
    _key: str = field(init=False)

    def __post_init__(self) -> None:
        self._key = self.stack.api_keys["paid"]

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        """Send a POST; answers the decoded body. Raises urllib's HTTPError for an error."""
        request = urllib.request.Request(  # noqa: S310  loopback
            self.stack.api_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-api-key": self._key, "Content-Type": "application/json", **headers},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def order(self, user: str, products: list[str], quantity: int = 2, *, key: str | None = None) -> str:
        """Place an order of one line per product, once for each idempotency key if given; its id."""
        lines = [{"productId": product, "quantity": quantity} for product in products]
        headers = {} if key is None else {"Idempotency-Key": key}
        return str(self.post("/orders", {"userId": user, "items": lines}, **headers)["orderId"])

    def user(self) -> str:
        """A new user's id."""
        return str(self.post("/users", {"name": "Ada Lovelace", "email": "ada@example.com"})["userId"])

    def product(self, stock: int) -> str:
        """A new product's id."""
        return str(self.post("/products", {"title": "Desk lamp", "price": 1999, "stock": stock})["productId"])

    def status(self, order: str) -> str:
        """An order's status, read past the API."""
        answer = self.stack.client("dynamodb").get_item(
            TableName=self.stack.outputs["tableNames"]["orders"],
            Key={"orderId": {"S": order}},
            ConsistentRead=True,
        )
        return str(answer["Item"]["status"]["S"])


def measure_all_paths_embedded() -> dict[str, Seen]:
    """Every path of `bench/order_paths.py`, by its name. Takes about twenty seconds."""
    with _recorded({}) as recorded:
        seen = {
            name: recorded.run(end, products, cancel=cancel)
            for name, end, products, cancel in (
                ("fulfilled", "FULFILLED", ["a", "b"], False),
                ("rejected, unknown product", "REJECTED", ["a", "no-such-product"], False),
                ("rejected, out of stock", "REJECTED", ["a", "rare"], False),
                ("cancelled before the workflow", "CANCELLED", ["a", "b"], True),
            )
        }
    partner = FulfillmentPartner("")
    partner.plan.append(Behavior.REFUSE)
    with (
        PartnerServer(partner) as server,
        _recorded({"fulfillmentUrl": f"{server.url}orders"}) as recorded,
    ):
        partner.secret = str(recorded.shop.stack.signing_secret)
        seen["refused and released"] = recorded.run("FAILED", ["a", "b"])
    return seen


@dataclass
class _Recorded:
    """A running stack whose calls are written down."""

    shop: Shop
    ledger: Ledger
    user: str
    products: Mapping[str, str]

    def run(self, end: str, products: list[str], *, cancel: bool = False) -> Seen:
        """Run one order to its end."""
        self.ledger.calls.clear()
        with self._held_queue() if cancel else _nothing():
            order = self.shop.order(self.user, [self.products.get(name, name) for name in products])
            if cancel:
                self.shop.post(f"/orders/{order}/cancel")
        arn = self._execution(order)
        states = self.shop.stack.client("stepfunctions")
        _await(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", order)
        if self.shop.status(order) != end:
            raise RuntimeError(f"the order ended {self.shop.status(order)}, not {end}")
        history = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        entered = sum(event["type"].endswith("StateEntered") for event in history)
        return Seen(calls=tuple(self.ledger.calls), transitions=entered)

    def _execution(self, order: str) -> str:
        machine = str(self.shop.stack.outputs["stateMachineArn"])
        states = self.shop.stack.client("stepfunctions")

        def found() -> str | None:
            executions = states.list_executions(stateMachineArn=machine)["executions"]
            return next((one["executionArn"] for one in executions if one["name"].startswith(order)), None)

        return _await(found, order)

    @contextmanager
    def _held_queue(self) -> Iterator[None]:
        """Nothing is taken from the queue meanwhile."""
        functions = self.shop.stack.client("lambda")
        (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        time.sleep(1.5)  # a poll may be under way
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _await(probe: Callable[[], _T | None], order: str) -> _T:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.1)
    raise RuntimeError(f"the order {order} did not come to its end in 30 s")


@contextmanager
def _recorded(settings: Mapping[str, Any]) -> Iterator[_Recorded]:
    """A stack of its own, all of whose functions' calls are written down."""
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
        with intercept_calls(stack.endpoint, stack.functions, _writing_down(ledger)):
            shop = Shop(stack)
            products = {name: shop.product(stock) for name, stock in (("a", 100), ("b", 100), ("rare", 1))}
            yield _Recorded(shop=shop, ledger=ledger, user=shop.user(), products=products)


def _writing_down(ledger: Ledger) -> Interceptor:
    """Lets one call through at a time, with the ledger before and behind it."""
    lock = threading.Lock()

    def tap(request: Request, pass_on: Callable[[], Response]) -> Response:
        if request.service in {"cloudwatch", "secretsmanager"}:
            return pass_on()  # of the schedule and of a cold start, not of an order
        operation, parameters = request.operation, request.parameters
        with lock:
            before = ledger.begin(operation, parameters)
            response = pass_on()
            ledger.finish(request.service, operation, parameters, response.body, before, response.error)
        return response

    return tap
