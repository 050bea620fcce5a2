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
from local.memory.functions import World
from tests.functions.dynamodb_hooks import first


def test_a_placed_order_is_pending_stored_and_queued(world: World) -> None:
    product = world.product()
    answer = world.api.post("/orders", {"userId": "u-1", "items": [{"productId": product, "quantity": 2}]})
    order_id = answer.body["orderId"]
    assert (answer.status, answer.body["status"]) == (201, "PENDING")
    assert answer.headers["location"] == f"/v1/orders/{order_id}"
    assert world.api.get(f"/orders/{order_id}").body == answer.body
    assert world.messages() == [{"orderId": order_id, "attempt": 1, "correlationId": "request-1"}]


def test_an_order_is_accepted_although_the_queue_is_gone(world: World) -> None:
    world.sqs.delete_queue(QueueUrl=world.sqs.get_queue_url(QueueName="orders")["QueueUrl"])
    answer = world.api.post("/orders", {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]})
    assert answer.status == 201
    stored = world.stored_order(answer.body["orderId"])
    assert stored["openShard"] in set("01234567")
    assert stored["openSince"] == stored["createdAt"]


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
        ({"userId": "u", "items": [{"productId": "p", "quantity": 1}] * 2}, "items[1].productId"),
        ({"userId": "u", "items": [{"productId": f"p{n}", "quantity": 1} for n in range(51)]}, "items"),
    ],
)
def test_an_invalid_order_is_a_422_that_names_the_field_and_stores_nothing(
    world: World, body: object, field: str
) -> None:
    answer = world.api.post("/orders", body)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert world.dynamodb.scan(TableName="orders")["Count"] == 0
    assert world.messages() == []


def test_a_repeat_under_the_same_key_answers_the_first_order_and_makes_no_second(world: World) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    first, second = (world.api.post("/orders", body, headers=headers) for _ in range(2))
    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body
    assert len(world.messages()) == 1


def test_another_order_under_the_same_key_is_a_422(world: World) -> None:
    headers = {"Idempotency-Key": "key-1"}
    for quantity, status in ((1, 201), (2, 422)):
        body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": quantity}]}
        answer = world.api.post("/orders", body, headers=headers)
        assert answer.status == status
    assert answer.body["code"] == "idempotency_key_reused"


def test_the_same_key_and_body_of_two_users_are_two_orders(world: World) -> None:
    headers = {"Idempotency-Key": "key-1"}
    assert world.order("u-1", {"p-1": 1}, headers=headers) != world.order("u-2", {"p-1": 1}, headers=headers)


def test_a_repeat_that_overtakes_the_first_makes_no_second_order(world: World) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    answers = []

    def send() -> None:
        answers.append(world.api.post("/orders", body, headers={"Idempotency-Key": "key-1"}))

    with first("PutItem", send):
        send()
    overtaking, overtaken = answers
    assert (overtaking.status, overtaken.status) == (201, 200)
    assert overtaking.body == overtaken.body
    assert len(world.messages()) == 1


def test_repeats_in_parallel_make_one_order_and_queue_it_once(world: World) -> None:
    from functions.orders_api import handler
    from functions.orders_api.placing import place_order
    from functions.shared.domain.orders import NewOrder, NewOrderLine

    new = NewOrder(user_id="u-1", items=[NewOrderLine(product_id="p-1", quantity=2)])
    clients = 8
    ready = Barrier(clients)
    one_at_a_time = Lock()  # moto is not made for threads

    class Client:
        def put_item(self, **parameters: Any) -> Any:
            ready.wait(timeout=10)  # nobody writes before everybody is about to
            with one_at_a_time:
                return world.dynamodb.put_item(**parameters)

    def place(number: int) -> tuple[Order, bool]:
        return place_order(
            new,
            key="key-1",
            correlation_id=f"request-{number}",
            at=clock.now(),
            orders=OrderRepository(Client(), "orders"),
            queue=handler._queue,
        )

    with ThreadPoolExecutor(clients) as pool:
        placed = list(pool.map(place, range(clients)))
    assert sorted(is_new for _, is_new in placed) == [False] * (clients - 1) + [True]
    assert len({order.order_id for order, _ in placed}) == 1
    assert world.dynamodb.scan(TableName="orders")["Count"] == len(world.messages()) == 1


def test_a_repeat_long_after_answers_the_order_as_it_is_by_then(world: World) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    headers = {"Idempotency-Key": "key-1"}
    order_id = world.api.post("/orders", body, headers=headers).body["orderId"]
    world.api.post(f"/orders/{order_id}/cancel")
    repeat = world.api.post("/orders", body, headers=headers)
    assert (repeat.status, repeat.body["status"]) == (200, "CANCELLED")
    assert repeat.headers["location"] == f"/v1/orders/{order_id}"


def test_equal_orders_without_a_key_are_two_orders(world: World) -> None:
    assert world.order("u-1", {"p-1": 1}) != world.order("u-1", {"p-1": 1})


def test_an_order_id_without_a_key_is_random(world: World) -> None:
    assert uuid.UUID(world.order("u-1", {"p-1": 1})).version == 4
