"""Reading, listing and cancelling orders over HTTP."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task


def test_an_unknown_order_is_a_404(backend: MemoryBackend) -> None:
    for answer in (backend.api.get("/orders/none"), backend.api.post("/orders/none/cancel")):
        assert (answer.status, answer.body["code"]) == (404, "not_found")


def test_the_orders_of_a_user_are_listed_newest_first_over_pages(backend: MemoryBackend) -> None:
    placed = []
    for minute in range(5):
        placed.append(backend.create_order("u-1", {"p-1": 1}))
        backend.set_order(placed[-1], createdAt=f"2026-01-01T00:0{minute}:00.000Z")
    backend.create_order("u-2", {"p-1": 1})
    seen: list[str] = []
    token = None
    while True:
        query = {"limit": "2"} | ({"nextToken": token} if token else {})
        page = backend.api.get("/users/u-1/orders", query=query).body
        seen.extend(order["orderId"] for order in page["items"])
        token = page.get("nextToken")
        if token is None:
            break
    assert seen == placed[::-1]


def test_a_pending_order_is_cancelled_and_each_repeat_publishes_the_event_again(
    backend: MemoryBackend,
) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    for _ in range(2):
        answer = backend.api.post(f"/orders/{order_id}/cancel")
        assert (answer.status, answer.body["status"]) == (200, "CANCELLED")
    assert [entry["status"] for entry in answer.body["history"]] == ["PENDING", "CANCELLED"]
    events = backend.take_events()
    assert [event["detail-type"] for event in events] == ["OrderCancelled", "OrderCancelled"]
    assert len({event["detail"]["eventId"] for event in events}) == 1
    assert "openShard" not in backend.stored_order(order_id)


def test_an_order_with_a_reservation_cannot_be_cancelled(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    answer = backend.api.post(f"/orders/{order_id}/cancel")
    assert (answer.status, answer.body["code"]) == (409, "too_late_to_cancel")
    assert backend.stored_order(order_id)["status"] == "VALIDATED"


def test_a_validated_order_without_a_reservation_can_be_cancelled_and_is_never_reserved(
    backend: MemoryBackend,
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 1})
    assert backend.api.post(f"/orders/{order_id}/cancel").status == 200
    from functions.shared.domain.errors import OrderCancelled

    with pytest.raises(OrderCancelled):
        backend.reserve(order_id)
    with pytest.raises(OrderCancelled):
        invoke_task("validate_order", order_id)
    assert backend.stock(product) == 5


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256])
def test_an_invalid_idempotency_key_is_a_422(backend: MemoryBackend, key: str) -> None:
    body = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}]}
    answer = backend.api.post("/orders", body, headers={"Idempotency-Key": key})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_an_order_that_the_client_has_is_not_sent_again_until_it_changes(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    etag = backend.api.get(f"/orders/{order_id}").headers["etag"]
    assert backend.api.get(f"/orders/{order_id}", headers={"If-None-Match": etag}).status == 304
    backend.api.post(f"/orders/{order_id}/cancel")
    changed = backend.api.get(f"/orders/{order_id}", headers={"If-None-Match": etag})
    assert (changed.status, changed.body["status"]) == (200, "CANCELLED")
