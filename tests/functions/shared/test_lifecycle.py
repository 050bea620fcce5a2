"""A move and its event: none is lost when the other fails."""

from __future__ import annotations

import boto3
import pytest

from functions.shared.domain.orders import Move, OrderStatus
from local.memory.functions import World
from tests.functions.requeue_stalled_orders.stalled import LONG_AGO, stalled_order


def test_a_cancel_whose_event_cannot_be_sent_stands_and_stays_open_for_the_requeue(world: World) -> None:

    order_id = world.order("u-1", {"p-1": 1})
    events = boto3.client("events")
    events.remove_targets(Rule="all", EventBusName="orderflow", Ids=["queue"])
    events.delete_rule(Name="all", EventBusName="orderflow")
    events.delete_event_bus(Name="orderflow")
    answer = world.api.post(f"/orders/{order_id}/cancel")
    assert (answer.status, answer.body["status"]) == (200, "CANCELLED")
    assert "openShard" in world.stored_order(order_id)


def test_a_retry_first_announces_a_failure_that_nobody_heard_of(world: World) -> None:
    from functions.orders_api import handler as orders_api

    order_id = stalled_order(world)
    order = orders_api._orders.get(order_id)
    failed = Move(order_id=order_id, to=OrderStatus.FAILED, at=LONG_AGO, attempt=1)
    orders_api._orders.move(failed, stay_open=True)
    orders_api._lifecycle.retry(orders_api._orders.get(order_id))
    assert [event["detail-type"] for event in world.events()] == ["OrderFailed"]
    with pytest.raises(Exception, match="PENDING in attempt 2"):
        orders_api._lifecycle.retry(order)
