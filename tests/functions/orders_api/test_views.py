"""What a client sees of an order."""

from __future__ import annotations

from local.memory.functions import World


def test_the_answer_tells_nothing_of_how_we_work(world: World) -> None:
    order_id = world.validated_order({world.product(): 1})
    world.reserve(order_id)
    body = world.api.get(f"/orders/{order_id}").body
    assert set(body) == {
        "orderId",
        "userId",
        "items",
        "status",
        "history",
        "createdAt",
        "updatedAt",
        "total",
        "currency",
    }
