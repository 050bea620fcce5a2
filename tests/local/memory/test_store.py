"""DynamoDB in memory answers as moto's DynamoDB and AWS's DynamoDB Local do."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from local.engine.stacks import table_schemas
from local.memory.store import Store
from tests.references.dynamodb_local import create_tables, empty_database, outcome, scan_all_pages
from tests.references.implementations import DYNAMODB
from tests.statemachines.paths import return_to_open_index

pytestmark = pytest.mark.usefixtures("without_logs")

AT = "2026-01-01T00:00:00.000Z"

MOTO = "moto"
DYNAMODB_LOCAL = "DynamoDB Local"


@pytest.fixture(params=[MOTO, pytest.param(DYNAMODB_LOCAL, marks=DYNAMODB.required)])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    """The store and another DynamoDB, with the tables as the program declares them."""
    if request.param == DYNAMODB_LOCAL:
        yield Both(empty_database(table_schemas()), ends_with_a_full_page=False)
        return
    with mock_aws():
        client = boto3.client("dynamodb")
        create_tables(client, table_schemas())
        yield Both(client, ends_with_a_full_page=True)


class Both:
    """A client that sends each call to the store and to another DynamoDB, and requires the same answer."""

    def __init__(self, other: Any, *, ends_with_a_full_page: bool) -> None:
        self.other = other
        self._store = Store(table_schemas())
        # moto's last page has no LastEvaluatedKey even if it is full.
        self._ends_with_a_full_page = ends_with_a_full_page
        self.calls = 0

    def __getattr__(self, method: str) -> Any:
        operation = "".join(part.title() for part in method.split("_"))

        def call(**request: Any) -> Any:
            self.calls += 1
            if method == "scan":
                ours, theirs = (
                    {"Items": scan_all_pages(read, request)}
                    for read in (partial(self._store.call, operation), self._by_keyword(method))
                )
            else:
                ours = outcome(lambda: self._store.call(operation, request))
                theirs = outcome(lambda: self._by_keyword(method)(request))
            if method == "query" and self._ends_with_a_full_page and "LastEvaluatedKey" not in theirs:
                ours.pop("LastEvaluatedKey", None)
            assert ours == theirs, (operation, request)
            if isinstance(ours, tuple):
                raise ClientError(
                    {"Error": {"Code": ours[0]}, "CancellationReasons": ours[1], "Item": ours[2]},
                    operation,
                )
            return ours

        return call

    def _by_keyword(self, method: str) -> Callable[[dict[str, Any]], Any]:
        return lambda request: getattr(self.other, method)(**request)


@pytest.mark.parametrize("seed", range(5))
def test_random_calls_have_equal_answers(both: Both, seed: int) -> None:
    from functions.shared.domain.errors import DomainError
    from functions.shared.domain.moves import Move
    from functions.shared.domain.orders import NewOrder, NewOrderLine, OrderStatus, Pricing, new_order
    from functions.shared.domain.products import Product
    from functions.shared.persistence import records
    from functions.shared.persistence.open_index import OPEN_SHARDS
    from functions.shared.persistence.order_lists import OrderLists, OrderQuery
    from functions.shared.persistence.orders import OrderRepository
    from functions.shared.persistence.reservations import Reservations

    chance = random.Random(seed)  # noqa: S311
    seconds = itertools.count()
    orders = OrderRepository(both, "orders")
    lists = OrderLists(both, "orders", stalled_after_minutes=10)
    reservations = Reservations(both, "orders", "products")
    products = records.products(both, "products")
    for number in range(3):
        products.create(Product(f"p-{number}", "Lamp", 100, "EUR", 4, 1, AT, AT))

    def create_order() -> None:
        lines = [NewOrderLine(f"p-{number}", chance.randint(1, 2)) for number in chance.sample(range(4), 2)]
        order_id = f"o-{chance.randint(0, 2)}"
        # Entries of an index with the same sort key have no defined order.
        minutes, second = divmod(next(seconds), 60)
        at = f"2026-01-01T00:{minutes:02}:{second:02}.000Z"
        orders.create(
            new_order(
                NewOrder("u-1", lines, reference=chance.choice([None, "PO-1"])),
                order_id=order_id,
                at=at,
                due_at=at,
                with_fingerprint=False,
            )
        )

    def random_order() -> Any:
        return orders.get(f"o-{chance.randint(0, 2)}")

    def move() -> None:
        order = random_order()
        pricing = Pricing(items=order.items, total=1, currency="EUR") if chance.random() < 0.5 else None
        attempt = chance.choice([None, order.attempt, 1])
        to = chance.choice([OrderStatus.VALIDATED, OrderStatus.FULFILLED, *OrderStatus])
        reason = chance.choice([None, "why"])
        orders.move(
            Move(order_id=order.order_id, to=to, at=AT, attempt=attempt, reason=reason, pricing=pricing),
            stay_open=chance.random() < 0.5,
        )

    def reserve() -> None:
        order = random_order()
        lines = order.items[: chance.randint(1, 2)]
        reservations.reserve(
            order.order_id,
            chance.choice([order.attempt, 1]),
            lines,
            at=AT,
            handed_over_to=chance.choice([None, "partner/orders"]),
        )

    actions: list[Callable[[], object]] = [
        create_order,
        move,
        move,
        reserve,
        reserve,
        lambda: reservations.release(random_order(), at=AT, even_if_handed_over=chance.random() < 0.5),
        lambda: reservations.hand_over(
            random_order().order_id, chance.randint(1, 2), to="partner/orders", at=AT
        ),
        lambda: orders.begin_attempt(random_order(), at=AT, due_at=AT),
        lambda: orders.retry(random_order(), at=AT, due_at=AT),
        lambda: orders.open_index.record_sent(random_order(), due_at=AT),
        lambda: both.update_item(**return_to_open_index(random_order().order_id, chance.randint(1, 2))),
        lambda: orders.open_index.list(chance.choice(OPEN_SHARDS), "2027", 100, None),
        lambda: lists.page(OrderQuery(user_id="u-1"), 2, None),
        lambda: lists.page(OrderQuery(reference="PO-1"), 2, None),
        lambda: lists.page(OrderQuery(placed_before="2026-01-01T00:01:00.000Z"), 2, None),
        lambda: lists.page(OrderQuery(status=OrderStatus.FAILED, placed_from="2026"), 1, None),
        lambda: products.page(chance.randint(1, 3), None),
        lambda: products.find_many(["p-0", "p-1", "p-9"], consistent=True),
        lambda: products.patch(
            "p-0", {"stock": chance.randint(0, 4)}, at=AT, versions={chance.randint(1, 3)}
        ),
        lambda: products.delete(f"p-{chance.randint(2, 4)}", versions=None),
    ]
    for _ in range(250):
        with contextlib.suppress(DomainError, ClientError):
            chance.choice(actions)()
    assert both.calls > 250


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_of_a_basket_have_equal_answers(both: Both, seed: int) -> None:
    from functions.shared import clock
    from functions.shared.domain.errors import DomainError
    from functions.shared.persistence.baskets import BasketRepository

    chance = random.Random(seed)  # noqa: S311
    seconds = itertools.count()
    baskets = BasketRepository(both, "baskets")

    def options() -> dict[str, Any]:
        minutes, second = divmod(next(seconds), 60)
        at = f"2026-01-01T00:{minutes:02}:{second:02}.000Z"
        expires_at = clock.epoch(at) + chance.choice([0, 100, 100, 100])
        return {
            "at": at,
            "expires_at": expires_at,
            "versions": chance.choice([None, None, {chance.randint(0, 9)}]),
        }

    def check_out() -> None:
        at = options()["at"]
        basket = baskets.find("u-1", at=at)
        if basket.basket_id is not None:
            order_id = f"o-{chance.randint(0, 3)}"
            put = {
                "TableName": "orders",
                "Item": {"orderId": {"S": order_id}},
                "ConditionExpression": "attribute_not_exists(orderId)",
            }
            baskets.check_out(basket, order_id, put, at=at)

    def product() -> str:
        return chance.choice(["a", "a.b", "-", "size"])  # ids may be words and signs of an expression

    actions: list[Callable[[], object]] = [
        *[lambda: baskets.put_line("u-1", product(), chance.randint(1, 9), **options())] * 3,
        lambda: baskets.remove_line("u-1", product(), **options()),
        lambda: baskets.clear("u-1", **options()),
        check_out,
    ]
    for _ in range(150):
        with contextlib.suppress(DomainError, ClientError):
            chance.choice(actions)()
    assert both.calls > 150


@pytest.mark.parametrize("seed", range(3))
def test_random_changes_of_users_and_kept_requests_have_equal_answers(both: Both, seed: int) -> None:
    from functions.shared.domain.errors import DomainError
    from functions.shared.domain.preconditions import Precondition
    from functions.shared.domain.products import StockChange
    from functions.shared.persistence.records import products
    from functions.shared.persistence.requests import KeptAnswer, RequestRepository
    from functions.shared.persistence.stock import change_stock
    from functions.shared.persistence.users import UserRepository

    chance = random.Random(seed)  # noqa: S311
    users = UserRepository(both, "users", "emails")
    requests = RequestRepository(both, "requests")
    catalog = products(both, "products")

    def user_id() -> str:
        return f"u-{chance.randint(0, 2)}"

    def fields() -> dict[str, str]:
        return {"name": "Ada", "email": chance.choice(["a@b", "A@b", "c@d"])}

    def condition() -> Precondition:
        versions = chance.choice([None, None, {chance.randint(1, 3)}])
        return Precondition(versions, chance.random() < 0.2, chance.random() < 0.2)

    def keep() -> None:
        request = requests.begin(f"r-{chance.randint(0, 1)}", chance.choice("ab"), at=AT)
        if chance.random() < 0.5:
            change = StockChange(change=chance.randint(-2, 3), at=AT)
            change_stock(catalog, "p-1", change, mark=requests.marking(request))
        requests.keep(request, KeptAnswer(200, {"ETag": '"1"'}, "{}"))

    actions: list[Callable[[], object]] = [
        lambda: users.put(user_id(), fields(), at=AT, condition=condition()),
        lambda: users.patch(user_id(), {"email": fields()["email"]}, at=AT, versions=None),
        lambda: users.patch(user_id(), {"name": "Grace"}, at=AT, versions=condition().versions),
        lambda: users.delete(user_id(), versions=condition().versions),
        lambda: users.find_by_email(fields()["email"], None),
        lambda: catalog.put(
            "p-1",
            {"title": "Lamp", "price": 1, "currency": "EUR", "category": chance.choice([None, "a", "b"])},
            defaults={"stock": 1},
            at=AT,
            condition=condition(),
        ),
        lambda: catalog.page_with("category", "a", 1, None),
        keep,
    ]
    for _ in range(200):
        with contextlib.suppress(DomainError, ClientError):
            chance.choice(actions)()
    assert both.calls > 200


@pytest.mark.parametrize(
    "update", ["SET dueAt = :at REMOVE dueAt", "SET reservation = :at REMOVE reservation.attempt"]
)
def test_an_update_of_paths_that_overlap_is_refused_as_by_aws(both: Both, update: str) -> None:
    request: dict[str, Any] = {
        "TableName": "orders",
        "Key": {"orderId": {"S": "o-1"}},
        "UpdateExpression": update,
        "ExpressionAttributeValues": {":at": {"S": AT}},
    }
    with pytest.raises(AssertionError, match="paths overlap"):
        both.update_item(**request)  # asks the store first
    with pytest.raises(ClientError, match="Two document paths overlap"):
        both.other.update_item(**request)
