"""`validate_order` prices an order from the products, or rejects it."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import OrderRejected, Superseded
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook
from local.memory.faults import CallRecorder, Lagging
from local.memory.functions import invoke_task


def test_validation_prices_the_order_from_the_products(backend: MemoryBackend) -> None:
    lamp, desk = backend.create_product(price=1999), backend.create_product(price=15000)
    order_id = backend.create_order(backend.create_user(), {lamp: 2, desk: 1})
    assert invoke_task("validate_order", order_id) == {
        "items": [
            {"productId": lamp, "quantity": 2, "title": "Lamp", "unitPrice": 1999},
            {"productId": desk, "quantity": 1, "title": "Lamp", "unitPrice": 15000},
        ],
        "total": 18998,
        "currency": "EUR",
    }


def test_an_order_of_which_a_client_said_more_says_so(backend: MemoryBackend) -> None:
    items = [{"productId": backend.create_product(), "quantity": 1}]
    body = {"userId": backend.create_user(), "items": items, "reference": "PO-7"}
    order_id = backend.api.post("/orders", body).body["orderId"]
    assert invoke_task("validate_order", order_id)["hasContent"] is True


def test_order_and_user_are_each_read_once_at_half_the_price(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    recorder = CallRecorder()
    with backend.hooked(recorder):
        invoke_task("validate_order", order_id)
    reads = [(call.parameters["TableName"], call.parameters["ConsistentRead"]) for call in recorder.calls[:2]]
    assert reads == [("orders", False), ("users", False)]
    assert [call.operation for call in recorder.calls[2:]] == ["BatchGetItem"]


@pytest.mark.parametrize(
    "hook", [Lagging(), Lagging(attempt=1), Lagging(status="FAILED")], ids=["absent", "attempt", "status"]
)
def test_a_read_that_lags_behind_is_repeated(backend: MemoryBackend, hook: Hook) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.set_order(order_id, attempt=2)
    with backend.hooked(hook):
        assert invoke_task("validate_order", order_id, 2)["total"] == 1999


def test_an_order_of_an_unknown_user_is_rejected(backend: MemoryBackend) -> None:
    order_id = backend.create_order("unknown", {backend.create_product(): 1})
    with pytest.raises(OrderRejected, match=r"^unknown_user"):
        invoke_task("validate_order", order_id)


def test_an_order_of_an_unknown_product_is_rejected(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1, "ghost": 1})
    with pytest.raises(OrderRejected, match=r"^unknown_product: .*ghost$"):
        invoke_task("validate_order", order_id)


def test_an_order_keeps_the_prices_it_was_validated_with(backend: MemoryBackend) -> None:
    product = backend.create_product(price=100)
    order_id = backend.create_validated_order({product: 1})
    backend.api.patch(f"/products/{product}", {"price": 999})
    assert invoke_task("validate_order", order_id)["total"] == 100
    backend.api.delete(f"/products/{product}")
    assert invoke_task("validate_order", order_id)["total"] == 100


def test_validation_of_an_earlier_attempt_is_superseded(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.set_order(order_id, attempt=2)
    with pytest.raises(Superseded):
        invoke_task("validate_order", order_id, 1)


def test_an_order_whose_price_changed_since_the_client_saw_it_is_rejected(backend: MemoryBackend) -> None:
    product, user = backend.create_product(price=100, stock=9), backend.create_user()
    bodies = {
        amount: {
            "userId": user,
            "items": [{"productId": product, "quantity": 2}],
            "expectedTotal": {"amount": amount, "currency": "EUR"},
        }
        for amount in (200, 300)
    }
    placed = {amount: backend.api.post("/orders", body).body for amount, body in bodies.items()}
    assert placed[300]["expectedTotal"] == {"amount": 300, "currency": "EUR"}
    backend.api.patch(f"/products/{product}", {"price": 150})
    backend.run_until_idle()
    ends = {amount: backend.api.get(f"/orders/{order['orderId']}").body for amount, order in placed.items()}
    assert (ends[300]["status"], ends[300]["total"]) == ("FULFILLED", 300)
    assert (ends[200]["status"], ends[200]["rejectionCode"]) == ("REJECTED", "price_changed")
    assert ends[200]["statusReason"] == ("price_changed: the total is 300 EUR, not 200 EUR (minor units)")
    assert backend.stock(product) == 7


def test_a_price_that_changes_after_validation_rejects_nothing(backend: MemoryBackend) -> None:
    product = backend.create_product(price=100)
    order_id = backend.create_validated_order({product: 1})
    backend.set_order(order_id, expectedTotal={"amount": 100, "currency": "EUR"})
    backend.api.patch(f"/products/{product}", {"price": 150})
    assert invoke_task("validate_order", order_id)["total"] == 100
