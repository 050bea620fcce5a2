"""FulfillOrder in place: the stock is reserved and the order has its shipment."""

from __future__ import annotations

from local.memory.functions import World


def test_fulfillment_takes_the_goods_and_names_the_shipment_after_the_order(world: World) -> None:
    lamp, desk = world.product(stock=5), world.product(stock=3)
    order_id = world.validated_order({lamp: 2, desk: 3})
    assert world.reserve(order_id) == {"shipmentId": f"shipment-{order_id}"}
    assert (world.stock(lamp), world.stock(desk)) == (3, 0)
    assert world.api.get(f"/products/{lamp}").body["version"] == 2


def test_fulfilling_twice_takes_the_goods_once_and_answers_the_same_shipment(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    assert world.reserve(order_id) == world.reserve(order_id)
    assert world.stock(product) == 3
