"""Requests with an Idempotency-Key: repeated, at the same time, cut off, and of different clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from functions.shared import aws
from functions.shared.domain.orders import OrderStatus
from functions.shared.persistence.dynamodb import from_item, struct_to_item
from functions.shared.persistence.requests import KEPT_SECONDS, KeptAnswer, KeptRequest, RequestRepository
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook
from local.memory.faults import FAULTS, BeforeFirst, Failing, FaultAt, faults_of, refusal
from local.memory.functions import ApiClient, HttpAnswer, invoke
from local.memory.interleaving import explore
from tests.functions.shared.domain.samples import AT
from tests.functions.shared.domain.test_shipping import item_bytes
from tests.functions.test_limits import ITEM_BYTES, answer_bytes, order_with_most_reports

KEY = {"Idempotency-Key": "k-1"}


@dataclass(frozen=True)
class Case:
    """A POST, another body for it, and what it changes."""

    path: Callable[[MemoryBackend], str]
    body: Any
    other: Any
    status: int
    effect: Callable[[MemoryBackend], object]
    """What a second effect would change."""
    may_answer_200: bool = False
    """Whether the answer to a request that took effect before, and was cut off, is a 200."""
    is_final: bool = False
    """Whether nothing is left for a second effect."""

    @property
    def statuses(self) -> set[int]:
        """The statuses of an answer after the effect."""
        return {self.status, 200} if self.may_answer_200 else {self.status}


def new_product(backend: MemoryBackend) -> str:
    backend.api.put("/products/p-1", {"title": "Lamp", "price": 100, "stock": 5})
    return "/products/p-1/stock"


def new_order(backend: MemoryBackend) -> str:
    order = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    return f"/orders/{order}/cancel"


def new_basket(backend: MemoryBackend) -> str:
    user = backend.create_user()
    backend.fill_basket(user, {backend.create_product(): 1})
    return f"/users/{user}/basket/checkout"


def count(table: str) -> Callable[[MemoryBackend], object]:
    return lambda backend: backend.count(table)


CASES = {
    "POST /users": Case(
        path=lambda _: "/users",
        body={"name": "Ada", "email": "ada@example.com"},
        other={"name": "Grace", "email": "grace@example.com"},
        status=201,
        effect=count("users"),
    ),
    "POST /products": Case(
        path=lambda _: "/products",
        body={"title": "Lamp", "price": 100, "stock": 5},
        other={"title": "Lamp", "price": 101, "stock": 5},
        status=201,
        effect=count("products"),
    ),
    "POST /products/{productId}/stock": Case(
        path=new_product,
        body={"change": -2, "reason": "broken"},
        other={"change": -3, "reason": "broken"},
        status=200,
        effect=lambda backend: backend.stock("p-1"),
    ),
    "POST /users/{userId}/basket/checkout": Case(
        path=new_basket,
        body={"reference": "WEB-1"},
        other={"reference": "WEB-2"},
        status=201,
        effect=count("orders"),
        may_answer_200=True,
        is_final=True,
    ),
    "POST /orders/{orderId}/cancel": Case(
        path=new_order,
        body=None,
        other=None,
        status=200,
        effect=lambda backend: [len(order.history) for order in backend.orders().values()],
        is_final=True,
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def post(backend: MemoryBackend, path: str, body: Any, **headers: str) -> HttpAnswer:
    return backend.api.post(path, body, headers=KEY | headers)


def kept(backend: MemoryBackend) -> list[dict[str, Any]]:
    return [from_item(item) for item in backend.cloud.store.tables["requests"].items.values()]


@each_case
def test_a_repeat_gets_the_first_answer_and_changes_nothing(backend: MemoryBackend, case: Case) -> None:
    path = case.path(backend)
    first = post(backend, path, case.body)
    effect = case.effect(backend)
    assert first.status == case.status
    again = post(backend, path, case.body)
    assert (again.status, again.body, again.headers) == (first.status, first.body, first.headers)
    assert case.effect(backend) == effect
    assert len(kept(backend)) == 1


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.other is not None])
def test_another_body_under_the_key_is_a_422_that_changes_nothing(backend: MemoryBackend, case: Case) -> None:
    path = case.path(backend)
    first = post(backend, path, case.body)
    effect = case.effect(backend)
    refused = post(backend, path, case.other)
    assert (refused.status, refused.body["code"]) == (422, "idempotency_key_reused")
    assert case.effect(backend) == effect
    assert post(backend, path, case.body).body == first.body


def test_the_order_of_fields_and_white_space_make_no_other_body(backend: MemoryBackend) -> None:
    first = post(backend, "/users", '{"name": "Ada", "email": "ada@example.com"}')
    again = post(backend, "/users", '{"email":"ada@example.com",  "name":" Ada "}')
    assert (again.status, again.body) == (201, first.body)


@each_case
def test_without_a_key_nothing_is_kept(backend: MemoryBackend, case: Case) -> None:
    backend.api.post(case.path(backend), case.body)
    assert kept(backend) == []


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "a\tb"])
@each_case
def test_a_malformed_key_is_a_422_that_names_the_header(backend: MemoryBackend, case: Case, key: str) -> None:
    path = case.path(backend)
    effect = case.effect(backend)
    answer = post(backend, path, case.body, **{"Idempotency-Key": key})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert case.effect(backend) == effect


def test_the_same_key_of_another_client_is_another_request(backend: MemoryBackend) -> None:
    body = {"title": "Lamp", "price": 100, "stock": 5}
    mine = post(backend, "/products", body)
    theirs = ApiClient(api_key_id="client-2").post("/products", body, headers=KEY)
    assert theirs.status == 201
    assert theirs.body["productId"] != mine.body["productId"]


def test_the_same_key_of_another_client_makes_another_order(backend: MemoryBackend) -> None:
    body = {"userId": backend.create_user(), "items": [{"productId": "p-1", "quantity": 1}]}
    mine = post(backend, "/orders", body)
    theirs = ApiClient(api_key_id="client-2").post("/orders", body, headers=KEY)
    assert (mine.status, theirs.status) == (201, 201)
    assert post(backend, "/orders", body).body["orderId"] == mine.body["orderId"]


def test_the_same_key_on_another_route_or_record_is_another_request(backend: MemoryBackend) -> None:
    for product in ("p-1", "p-2"):
        backend.api.put(f"/products/{product}", {"title": "Lamp", "price": 100, "stock": 5})
    for product in ("p-1", "p-2"):
        assert post(backend, f"/products/{product}/stock", {"change": 1}).body["productId"] == product
    assert post(backend, "/products", {"title": "Lamp", "price": 100, "stock": 5}).status == 201
    assert len(kept(backend)) == 3


def test_the_same_key_of_another_signed_in_user_is_another_request(backend: MemoryBackend) -> None:
    def create(subject: str) -> str:
        event = {
            "resource": "/products",
            "path": "/products",
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json", **KEY},
            "body": '{"title": "Lamp", "price": 100, "stock": 5}',
            "requestContext": {
                "requestId": "r-1",
                "path": "/v1/products",
                "authorizer": {"claims": {"sub": subject}},
            },
        }
        return str(invoke("products_api", event)["body"])

    assert create("u-1") == create("u-1")
    assert create("u-1") != create("u-2")


@each_case
def test_a_request_that_failed_with_a_5xx_may_be_tried_again(backend: MemoryBackend, case: Case) -> None:
    path = case.path(backend)
    before = case.effect(backend)
    with backend.hooked(Failing(refusal("ThrottlingException"))):
        assert post(backend, path, case.body).status == 503
    assert case.effect(backend) == before
    assert post(backend, path, case.body).status == case.status


def test_a_refusal_is_answered_again_until_the_key_expires(backend: MemoryBackend) -> None:
    new_product(backend)
    first = post(backend, "/products/p-1/stock", {"change": -9})
    assert (first.status, first.body["code"]) == (409, "insufficient_stock")
    backend.api.post("/products/p-1/stock", {"change": 20})
    again = post(backend, "/products/p-1/stock", {"change": -9})
    assert (again.status, again.body) == (409, first.body)
    assert backend.stock("p-1") == 25


def test_an_invalid_body_uses_no_key(backend: MemoryBackend) -> None:
    assert post(backend, "/products", {"title": "Lamp"}).status == 422
    assert kept(backend) == []
    assert post(backend, "/products", {"title": "Lamp", "price": 1, "stock": 1}).status == 201


@each_case
def test_a_key_is_kept_for_a_day_and_free_afterwards_though_its_entry_is_still_there(
    backend: MemoryBackend, case: Case
) -> None:
    path = case.path(backend)
    first = post(backend, path, case.body)
    effect = case.effect(backend)
    backend.wait(24 * 60)
    assert post(backend, path, case.body).body == first.body
    assert case.effect(backend) == effect
    backend.wait(KEPT_SECONDS / 60 - 24 * 60 + 1)
    again = post(backend, path, case.body)
    (entry,) = kept(backend)
    if not case.is_final:
        # Another user has the address of the first request.
        assert again.status == (409 if path == "/users" else case.status)
        assert again.body != first.body
        assert entry["answer"]["status"] == again.status


@each_case
def test_a_request_that_was_cut_off_at_any_point_takes_effect_once_when_it_is_repeated(case: Case) -> None:
    def play(hook: Hook) -> tuple[object, HttpAnswer]:
        backend = MemoryBackend()
        with installed(backend):
            path = case.path(backend)
            with backend.hooked(hook):
                backend.post(path, case.body, headers=KEY)
            answer = post(backend, path, case.body)
            assert post(backend, path, case.body).body == answer.body
            return case.effect(backend), answer

    listing = FaultAt()
    expected, _ = play(listing)
    assert len(listing.calls) >= 3
    for number, call in enumerate(listing.calls):
        for name in faults_of(call):
            effect, answer = play(FaultAt(number, FAULTS[name]))
            assert effect == expected, (call, name)
            assert answer.status in case.statuses, (call, name)


@each_case
def test_two_at_the_same_time_take_effect_once_and_get_one_answer(case: Case) -> None:
    paths: dict[int, str] = {}
    answers: list[HttpAnswer] = []

    def send(backend: MemoryBackend) -> None:
        answers.append(post(backend, paths[id(backend)], case.body))

    def setting() -> Any:
        answers.clear()
        backend = MemoryBackend()
        with installed(backend):
            paths[id(backend)] = case.path(backend)
        return backend, [send, send]

    def check(backend: MemoryBackend) -> None:
        effect = case.effect(backend)
        one, two = answers
        assert (one.status, one.body) == (two.status, two.body)
        assert one.status in case.statuses
        answers.clear()
        send(backend)
        assert answers[0].body == one.body
        assert case.effect(backend) == effect == expected

    alone = MemoryBackend()
    with installed(alone):
        paths[id(alone)] = case.path(alone)
        send(alone)
        expected = case.effect(alone)
    assert explore(setting, check).sequences > 1


def test_a_stock_change_counts_once_though_others_change_the_stock_meanwhile(
    backend: MemoryBackend,
) -> None:
    path = new_product(backend)
    other = lambda: backend.api.post(path, {"change": 10})  # noqa: E731
    with backend.hooked(BeforeFirst("TransactWriteItems", other)):
        assert post(backend, path, {"change": -2}).body["stock"] == 13
    backend.api.post(path, {"change": 10})
    assert post(backend, path, {"change": -2}).body["stock"] == 13
    assert backend.stock("p-1") == 23


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDeniedException", 500), ("ConditionalCheckFailedException", 503)]
)
def test_a_request_that_cannot_be_entered_has_no_effect(
    backend: MemoryBackend, code: str, status: int
) -> None:
    """A refusal without an item: the earlier entry was deleted in between."""
    with backend.hooked(Failing(refusal(code), "PutItem")):
        assert post(backend, "/products", {"title": "Lamp", "price": 1, "stock": 1}).status == status
    assert backend.count("products") == 0


@pytest.fixture
def requests(backend: MemoryBackend) -> RequestRepository:
    return RequestRepository(aws.client("dynamodb"), "requests")


def mark(request: KeptRequest, requests: RequestRepository, effect: str | None = None) -> None:
    aws.client("dynamodb").transact_write_items(TransactItems=[{"Update": requests.marking(request, effect)}])


def test_an_entry_belongs_to_one_operation_for_25_hours(
    backend: MemoryBackend, requests: RequestRepository
) -> None:
    answer = KeptAnswer(200, {}, "{}")
    first = requests.begin("r", "hash", at="2026-06-01T00:00:00.000Z")
    assert requests.begin("r", "hash", at="2026-06-02T00:59:59.000Z") == first
    second = requests.begin("r", "hash", at="2026-06-02T01:00:00.000Z")
    assert second == KeptRequest("r", second.operation_id, None, None)
    assert second.operation_id != first.operation_id
    assert requests.keep(first, answer) == answer
    with pytest.raises(ClientError, match="TransactionCanceled"):
        mark(first, requests, "late")
    assert requests.begin("r", "hash", at="2026-06-02T02:00:00.000Z") == second
    mark(second, requests, "o-1")
    with pytest.raises(ClientError, match="TransactionCanceled"):
        mark(second, requests, "o-2")
    assert requests.keep(second, answer) == requests.keep(second, KeptAnswer(201, {}, "")) == answer
    third = requests.begin("r", "hash", at="2026-06-02T02:00:00.000Z")
    assert third == second._replace(answer=answer, effect="o-1")


def test_an_answer_that_cannot_be_kept_raises_the_error_of_the_store(
    backend: MemoryBackend, requests: RequestRepository
) -> None:
    request = requests.begin("r", "hash", at="2026-06-01T00:00:00.000Z")
    with (
        backend.hooked(Failing(refusal("AccessDeniedException"), "UpdateItem")),
        pytest.raises(ClientError, match="AccessDenied"),
    ):
        requests.keep(request, KeptAnswer(200, {}, "{}"))


@pytest.mark.parametrize(("size", "kind"), [(300_000, "S"), (300_001, "B")])
def test_a_large_body_is_kept_compressed(
    backend: MemoryBackend, requests: RequestRepository, size: int, kind: str
) -> None:
    answer = KeptAnswer(200, {}, "ä" * 149_999 + "x" * (size - 299_998))
    request = requests.begin("r", "hash", at="2026-06-01T00:00:00.000Z")
    assert requests.keep(request, answer) == requests.keep(request, KeptAnswer(201, {}, "")) == answer
    (entry,) = backend.cloud.store.tables["requests"].items.values()
    assert set(entry["answer"]["M"]["body"]) == {kind}


def test_the_answer_about_the_largest_order_is_kept(backend: MemoryBackend) -> None:
    order = replace(order_with_most_reports(), status=OrderStatus.IN_FULFILLMENT)
    backend.cloud.store.tables["orders"].items[order.order_id] = struct_to_item(order)
    path = f"/orders/{order.order_id}/cancel"
    first = backend.api.post(path, headers=KEY)
    assert first.status == 202
    (entry,) = backend.cloud.store.tables["requests"].items.values()
    assert item_bytes(entry) < ITEM_BYTES < answer_bytes(first.body)
    declined = replace(order, cancel_requested_at=AT, cancel_refused_at=AT)
    backend.cloud.store.tables["orders"].items[order.order_id] = struct_to_item(declined)
    assert backend.api.post(path).status == 409
    assert backend.api.post(path, headers=KEY) == first
