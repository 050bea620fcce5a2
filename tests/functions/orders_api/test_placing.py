"""An order is stored, then queued, once per idempotency key."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import Any

import pytest

from functions.shared import clock
from functions.shared.domain.orders import Order
from functions.shared.persistence.orders import OrderRepository
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import MemoryCloud
from local.memory.faults import BeforeFirst, Failing, refusal


def asked_for(backend: MemoryBackend) -> set[tuple[str, int]]:
    """The attempts that the messages on the queue ask for. Two messages for one attempt are one execution."""
    return {(message["orderId"], message["attempt"]) for message in backend.take_messages()}


def test_a_placed_order_is_pending_stored_and_queued(backend: MemoryBackend) -> None:
    product = backend.create_product()
    answer = backend.api.post("/orders", {"userId": "u-1", "items": [{"productId": product, "quantity": 2}]})
    order_id = answer.body["orderId"]
    assert (answer.status, answer.body["status"]) == (201, "PENDING")
    assert answer.headers["location"] == f"/v1/orders/{order_id}"
    assert backend.api.get(f"/orders/{order_id}").body == answer.body
    assert backend.take_messages() == [{"orderId": order_id, "attempt": 1, "correlationId": "request-1"}]


def test_an_order_keeps_its_reference_metadata_and_address(backend: MemoryBackend) -> None:
    content = {
        "reference": "WEB-1",
        "metadata": {"channel": "shop"},
        "deliverTo": {
            "name": "Ada",
            "lines": ["12 Square"],
            "city": "London",
            "country": "GB",
            "phone": "+44 20",
        },
    }
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}], **content}
    placed = backend.api.post("/orders", body)
    read = backend.api.get(f"/orders/{placed.body['orderId']}")
    assert {name: read.body[name] for name in content} == content
    assert placed.body == read.body


def test_a_key_with_another_address_is_another_order(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}], "reference": "WEB-1"}
    headers = {"Idempotency-Key": "key-1"}
    assert backend.api.post("/orders", body, headers=headers).status == 201
    second = backend.api.post("/orders", {**body, "reference": "WEB-2"}, headers=headers)
    assert (second.status, second.body["code"]) == (422, "idempotency_key_reused")


def test_an_order_is_accepted_if_the_queue_does_not_exist(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    with backend.hooked(Failing(refusal("AWS.SimpleQueueService.NonExistentQueue"), "SendMessage")):
        answer = backend.api.post("/orders", body)
    assert answer.status == 201
    stored = backend.stored_order(answer.body["orderId"])
    assert stored["openShard"] in set("0123456789abcdef")
    assert stored["dueAt"] == clock.minutes_after(stored["createdAt"], 10)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": [{"productId": "p", "quantity": 1}]}, "userId"),
        ({"userId": "u", "items": []}, "items"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 0}]}, "items[0].quantity"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1001}]}, "items[0].quantity"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": "1"}]}, "items[0].quantity"),
        ({"userId": "u", "items": [{"productId": "a/b", "quantity": 1}]}, "items[0].productId"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1}], "total": 1}, "total"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1, "price": 1}]}, "items[0].price"),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1}], "expectedTotal": 1}, "expectedTotal"),
        (
            {
                "userId": "u",
                "items": [{"productId": "p", "quantity": 1}],
                "expectedTotal": {"amount": -1, "currency": "EUR"},
            },
            "expectedTotal.amount",
        ),
        (
            {
                "userId": "u",
                "items": [{"productId": "p", "quantity": 1}],
                "expectedTotal": {"amount": 1.5, "currency": "EUR"},
            },
            "expectedTotal.amount",
        ),
        (
            {
                "userId": "u",
                "items": [{"productId": "p", "quantity": 1}],
                "expectedTotal": {"amount": 1, "currency": "EUX"},
            },
            "expectedTotal.currency",
        ),
        (
            {"userId": "u", "items": [{"productId": "p", "quantity": 1}], "expectedTotal": {"amount": 1}},
            "expectedTotal.currency",
        ),
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1}] * 2}, "items[1].productId"),
        ({"userId": "u", "items": [{"productId": f"p{n}", "quantity": 1} for n in range(51)]}, "items"),
    ],
)
def test_an_invalid_order_is_a_422_that_names_the_field_and_stores_nothing(
    backend: MemoryBackend, body: object, field: str
) -> None:
    answer = backend.api.post("/orders", body)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert backend.count("orders") == 0
    assert backend.take_messages() == []


def test_a_repeat_under_the_same_key_returns_the_first_order_and_makes_no_second(
    backend: MemoryBackend,
) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    first, second = (backend.api.post("/orders", body, headers=headers) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert asked_for(backend) == {(first.body["orderId"], 1)}


def test_a_repeat_queues_an_order_whose_message_was_lost(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    with backend.hooked(Failing(refusal("ServiceUnavailable"), "SendMessage")):
        order_id = backend.api.post("/orders", body, headers=headers).body["orderId"]
    assert asked_for(backend) == set()
    assert backend.api.post("/orders", body, headers=headers).status == 200
    assert asked_for(backend) == {(order_id, 1)}


def test_a_repeat_does_not_queue_an_order_that_moved_on(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    order_id = backend.api.post("/orders", body, headers=headers).body["orderId"]
    backend.api.post(f"/orders/{order_id}/cancel")
    backend.take_messages()
    backend.api.post("/orders", body, headers=headers)
    assert asked_for(backend) == set()


@pytest.mark.parametrize("is_express", [False, True], ids=["STANDARD", "EXPRESS"])
def test_a_repeat_does_not_fulfill_an_order_twice(is_express: bool) -> None:
    with installed(MemoryBackend(cloud=MemoryCloud(is_express=is_express))) as backend:
        product = backend.create_product(stock=5)
        body = {"userId": backend.create_user(), "items": [{"productId": product, "quantity": 2}]}
        for _ in range(3):
            order_id = backend.api.post("/orders", body, headers={"Idempotency-Key": "k"}).body["orderId"]
        backend.run_until_idle()
        assert (backend.status(order_id), backend.stock(product)) == ("FULFILLED", 3)


def test_another_order_under_the_same_key_is_a_422(backend: MemoryBackend) -> None:
    headers = {"Idempotency-Key": "key-1"}
    for quantity, status in ((1, 201), (2, 422)):
        body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": quantity}]}
        answer = backend.api.post("/orders", body, headers=headers)
        assert answer.status == status
    assert answer.body["code"] == "idempotency_key_reused"


def test_the_same_key_and_body_of_two_users_make_two_orders(backend: MemoryBackend) -> None:
    headers = {"Idempotency-Key": "key-1"}
    assert backend.create_order("u-1", {"p-1": 1}, headers=headers) != backend.create_order(
        "u-2", {"p-1": 1}, headers=headers
    )


def test_a_repeat_that_overtakes_the_first_makes_no_second_order(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    answers = []

    def send() -> None:
        answers.append(backend.api.post("/orders", body, headers={"Idempotency-Key": "key-1"}))

    with backend.hooked(BeforeFirst("PutItem", send)):
        send()
    overtaking, overtaken = answers
    assert (overtaking.status, overtaken.status) == (201, 200)
    assert overtaking.body == overtaken.body
    assert asked_for(backend) == {(overtaking.body["orderId"], 1)}


def test_repeats_in_parallel_make_one_order_and_ask_for_one_attempt(backend: MemoryBackend) -> None:
    from functions.orders_api import handler
    from functions.orders_api.placing import place_order
    from functions.shared.domain.orders import NewOrder, NewOrderLine

    new = NewOrder(user_id="u-1", items=[NewOrderLine(product_id="p-1", quantity=2)])
    clients = 8
    ready = Barrier(clients)
    one_at_a_time = Lock()  # the tables in memory are not thread-safe

    class Client:
        def put_item(self, **parameters: Any) -> Any:
            ready.wait(timeout=10)  # all clients write at the same time
            with one_at_a_time:
                return backend.cloud.store.call("PutItem", parameters)

    def place(number: int) -> tuple[Order, bool]:
        return place_order(
            new,
            client="client-1",
            key="key-1",
            correlation_id=f"request-{number}",
            at=clock.now(),
            stalled_after_minutes=10,
            orders=OrderRepository(Client(), "orders"),
            queue=handler._queue,
        )

    with ThreadPoolExecutor(clients) as pool:
        placed = list(pool.map(place, range(clients)))
    assert sorted(is_new for _, is_new in placed) == [False] * (clients - 1) + [True]
    assert len({order.order_id for order, _ in placed}) == 1
    assert backend.count("orders") == len(asked_for(backend)) == 1


def test_a_late_repeat_returns_the_current_order(backend: MemoryBackend) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    order_id = backend.api.post("/orders", body, headers=headers).body["orderId"]
    backend.api.post(f"/orders/{order_id}/cancel")
    repeat = backend.api.post("/orders", body, headers=headers)
    assert (repeat.status, repeat.body["status"]) == (200, "CANCELLED")
    assert repeat.headers["location"] == f"/v1/orders/{order_id}"


def test_equal_orders_without_a_key_are_two_orders(backend: MemoryBackend) -> None:
    assert backend.create_order("u-1", {"p-1": 1}) != backend.create_order("u-1", {"p-1": 1})


def test_an_order_id_without_a_key_is_random(backend: MemoryBackend) -> None:
    assert uuid.UUID(backend.create_order("u-1", {"p-1": 1})).version == 4
