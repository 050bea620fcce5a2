"""ReleaseOrder puts the stock of an order back."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import Superseded
from local.memory.functions import World, invoke_task


def test_release_puts_the_goods_back_once(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    for _ in range(2):
        invoke_task("release_order", order_id)
        assert world.stock(product) == 5


def test_a_fulfilled_order_is_never_released(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    shipment = world.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    with pytest.raises(Superseded):
        invoke_task("release_order", order_id)
    assert world.stock(product) == 3


def test_an_order_without_a_reservation_is_released_by_doing_nothing(world: World) -> None:
    invoke_task("release_order", world.validated_order({world.product(): 1}))
