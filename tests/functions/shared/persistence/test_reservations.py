"""Reserving and releasing: all lines or none, once per order."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import FulfillmentRefused, OrderRejected, StoreContention, Superseded
from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task


def test_too_little_stock_of_one_product_rejects_the_order_and_reserves_nothing(
    backend: MemoryBackend,
) -> None:
    plenty, scarce = backend.create_product(stock=5), backend.create_product(stock=1)
    order_id = backend.create_validated_order({plenty: 2, scarce: 2})
    with pytest.raises(
        OrderRejected, match=rf"^insufficient_stock: 2 of product {scarce} ordered, 1 in stock$"
    ):
        backend.reserve(order_id)
    assert (backend.stock(plenty), backend.stock(scarce)) == (5, 1)


def test_a_deleted_product_rejects_the_order(backend: MemoryBackend) -> None:
    product = backend.create_product()
    order_id = backend.create_validated_order({product: 1})
    backend.api.delete(f"/products/{product}")
    with pytest.raises(OrderRejected, match=r"^unknown_product"):
        backend.reserve(order_id)


def test_an_order_with_a_reservation_is_not_rejected_when_the_stock_is_zero(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=2)
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    assert backend.reserve(order_id) == {
        "status": "FULFILLED",
        "shipment": {"shipmentId": f"shipment-{order_id}"},
        "inPlace": True,
    }


def test_an_order_that_is_not_validated_is_not_reserved(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=2)
    order_id = backend.create_order(backend.create_user(), {product: 1})
    with pytest.raises(Superseded):
        backend.reserve(order_id)
    assert backend.stock(product) == 2


def test_an_attempt_cannot_reserve_again_after_it_has_released(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    invoke_task("release_order", order_id)
    with pytest.raises(Superseded):
        backend.reserve(order_id)
    assert backend.stock(product) == 5
    backend.set_order(order_id, attempt=2)
    backend.reserve(order_id, attempt=2)
    assert backend.stock(product) == 3


def test_release_skips_a_deleted_product(backend: MemoryBackend) -> None:
    kept, gone = backend.create_product(stock=5), backend.create_product(stock=5)
    order_id = backend.create_validated_order({kept: 2, gone: 1})
    backend.reserve(order_id)
    backend.api.delete(f"/products/{gone}")
    invoke_task("release_order", order_id)
    assert backend.stock(kept) == 5
    assert backend.stored_order(order_id)["reservation"]["state"] == "RELEASED"
    assert backend.api.get(f"/products/{gone}").status == 404


def _released_before_attempt_two(backend: MemoryBackend, product: str, **facts: object) -> str:
    """An order whose stock was released after it was handed over, in its second attempt."""
    order_id = backend.create_validated_order({product: 2})
    released = {"state": "RELEASED", "attempt": 1, "handedOverTo": "partner.example"}
    backend.set_order(order_id, attempt=2, reservation=released, **facts)
    return order_id


def test_an_order_with_a_parcel_that_left_after_a_release_is_not_reserved_again(
    backend: MemoryBackend,
) -> None:
    product = backend.create_product(stock=5)
    late = {"shipmentId": "s-1", "quantities": [2], "isLate": True}
    order_id = _released_before_attempt_two(backend, product, shipments=[late])
    with pytest.raises(FulfillmentRefused, match=r"^parcels left after the stock was released"):
        backend.reserve(order_id, attempt=2)
    assert backend.stock(product) == 5


def test_a_new_reservation_drops_the_refusals_of_an_earlier_one(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    old = {"refusalId": "r-1", "quantities": [1], "reason": "broken", "attempt": 1}
    order_id = _released_before_attempt_two(backend, product, refusals=[old])
    fulfillment = backend.reserve(order_id, attempt=2)
    assert backend.order(order_id).refusals == []
    invoke_task("update_order_status", order_id, attempt=2, **fulfillment)
    assert backend.status(order_id) == "FULFILLED"


def test_a_release_of_stock_that_a_report_changed_returns_nothing_and_can_be_repeated(
    backend: MemoryBackend,
) -> None:
    from functions.release_order.handler import _reservations

    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    read = backend.order(order_id)
    refused = {"refusalId": "r-1", "quantities": [1], "reason": "broken", "attempt": 1}
    backend.set_order(order_id, refusals=[refused], revision=read.revision + 1)
    with pytest.raises(StoreContention):
        _reservations.release(read, at="2026-06-01T00:00:00.000Z", even_if_handed_over=True)
    assert backend.stock(product) == 3
    now = backend.order(order_id)
    assert _reservations.release(now, at="2026-06-01T00:00:00.000Z", even_if_handed_over=True)
    assert backend.stock(product) == 4
