"""Reserving and releasing: all lines or none, once per order."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import OrderRejected, Superseded
from local.memory.functions import World, invoke_task


def test_too_little_stock_of_one_product_rejects_the_order_and_takes_nothing(world: World) -> None:
    plenty, scarce = world.product(stock=5), world.product(stock=1)
    order_id = world.validated_order({plenty: 2, scarce: 2})
    with pytest.raises(
        OrderRejected, match=rf"^insufficient_stock: 2 of product {scarce} ordered, 1 in stock$"
    ):
        world.reserve(order_id)
    assert (world.stock(plenty), world.stock(scarce)) == (5, 1)


def test_a_product_that_is_gone_rejects_the_order(world: World) -> None:
    product = world.product()
    order_id = world.validated_order({product: 1})
    world.api.delete(f"/products/{product}")
    with pytest.raises(OrderRejected, match=r"^unknown_product"):
        world.reserve(order_id)


def test_an_order_that_holds_its_goods_is_not_rejected_when_nothing_is_left(world: World) -> None:
    product = world.product(stock=2)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    assert world.reserve(order_id) == {"shipmentId": f"shipment-{order_id}"}


def test_an_order_that_is_not_validated_is_not_reserved(world: World) -> None:
    product = world.product(stock=2)
    order_id = world.order(world.user(), {product: 1})
    with pytest.raises(Superseded):
        world.reserve(order_id)
    assert world.stock(product) == 2


def test_goods_that_were_released_are_not_reserved_again_by_the_same_attempt(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    invoke_task("release_order", order_id)
    with pytest.raises(Superseded):
        world.reserve(order_id)
    assert world.stock(product) == 5
    world.set_order(order_id, attempt=2)
    world.reserve(order_id, attempt=2)
    assert world.stock(product) == 3


def test_release_passes_over_a_product_that_is_gone(world: World) -> None:
    kept, gone = world.product(stock=5), world.product(stock=5)
    order_id = world.validated_order({kept: 2, gone: 1})
    world.reserve(order_id)
    world.api.delete(f"/products/{gone}")
    invoke_task("release_order", order_id)
    assert world.stock(kept) == 5
    assert world.stored_order(order_id)["reservation"]["state"] == "RELEASED"
    assert world.api.get(f"/products/{gone}").status == 404
