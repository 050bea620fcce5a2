"""What happens to an order and its stock when a fulfillment system ships it."""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.domain.errors import (
    FulfillmentUnavailable,
    OrderRejected,
    Superseded,
)
from local.memory.functions import World, invoke_task
from local.partners.fulfillment import Behavior, FulfillmentPartner


def test_an_order_is_handed_over_in_the_very_transaction_that_takes_its_goods(
    world: World, outside: FulfillmentPartner
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    assert world.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert world.stored_order(order_id)["reservation"] == {
        "state": "HELD",
        "attempt": 1,
        "handedOver": True,
    }
    assert outside.contents == {order_id: {product: 2}}


def test_an_answer_that_was_lost_after_the_order_was_accepted_ends_in_one_shipment(
    world: World, outside: FulfillmentPartner
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    assert world.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert len(outside.shipments) == 1
    assert world.stock(product) == 3


def test_goods_that_were_held_in_place_are_handed_over_before_they_are_shipped(
    world: World, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = world.validated_order({world.product(): 1})
    with monkeypatch.context() as before_the_url_was_set:
        before_the_url_was_set.setattr(handler, "_fulfillment_system", None)
        world.reserve(order_id)
    outside.plan.append(Behavior.DROP_REQUEST)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    assert world.stored_order(order_id)["reservation"]["handedOver"] is True


def test_an_order_that_went_outside_is_not_shipped_in_place_as_well(
    world: World, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = world.validated_order({world.product(): 1})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)
    monkeypatch.setattr(handler, "_fulfillment_system", None)
    with pytest.raises(FulfillmentUnavailable):
        world.reserve(order_id)


def test_a_fulfilled_order_is_answered_without_asking_again(
    world: World, outside: FulfillmentPartner
) -> None:
    order_id = world.validated_order({world.product(): 1})
    shipment = world.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    assert world.reserve(order_id) == shipment
    assert len(outside.received) == 1


def test_an_order_that_is_rejected_or_superseded_never_goes_outside(
    world: World, outside: FulfillmentPartner
) -> None:
    order_id = world.validated_order({world.product(stock=1): 2})
    with pytest.raises(OrderRejected):
        world.reserve(order_id)
    with pytest.raises(Superseded):
        world.reserve(order_id, attempt=2)
    assert outside.received == []


def test_a_secret_that_cannot_be_read_leaves_the_order_in_our_hands(
    world: World, outside: FulfillmentPartner, secrets: Any
) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    secrets.delete_secret(SecretId="fulfillment", ForceDeleteWithoutRecovery=True)
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        world.reserve(order_id)
    assert "reservation" not in world.stored_order(order_id)
    assert world.stock(product) == 5
