"""`release_order` returns the reserved stock of an order."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import OrderCancelled, Superseded
from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task


def test_release_returns_the_stock_once(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    for _ in range(2):
        invoke_task("release_order", order_id)
        assert backend.stock(product) == 5


def test_a_fulfilled_order_is_never_released(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    shipment = backend.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", fulfillment=shipment)
    with pytest.raises(Superseded):
        invoke_task("release_order", order_id)
    assert backend.stock(product) == 3


def test_an_order_that_was_handed_over_is_released(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    held = {"state": "HELD", "attempt": 1, "handedOverTo": "partner.example"}
    backend.set_order(order_id, reservation=held)
    invoke_task("release_order", order_id)
    assert backend.stock(product) == 5


def test_an_earlier_attempt_and_a_cancelled_order_are_refused_by_name(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.set_order(order_id, attempt=2)
    with pytest.raises(Superseded):
        invoke_task("release_order", order_id, 1)
    backend.set_order(order_id, status="CANCELLED")
    with pytest.raises(OrderCancelled):
        invoke_task("release_order", order_id, 2)


def test_releasing_an_order_without_a_reservation_succeeds(backend: MemoryBackend) -> None:
    invoke_task("release_order", backend.create_validated_order({backend.create_product(): 1}))
