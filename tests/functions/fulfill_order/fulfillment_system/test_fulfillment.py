"""What happens to an order and its stock when a fulfillment system ships it."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import (
    FulfillmentUnavailable,
    OrderRejected,
    Superseded,
)
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import invoke_task
from local.partners.fulfillment import Behavior, FulfillmentPartner


def test_an_order_is_handed_over_in_the_very_transaction_that_takes_its_goods(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    assert backend.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert backend.stored_order(order_id)["reservation"] == {
        "state": "HELD",
        "attempt": 1,
        "handedOver": True,
    }
    assert outside.contents == {order_id: {product: 2}}


def test_an_answer_that_was_lost_after_the_order_was_accepted_ends_in_one_shipment(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    assert backend.reserve(order_id) == {"shipmentId": "parcel-1"}
    assert len(outside.shipments) == 1
    assert backend.stock(product) == 3


def test_goods_that_were_held_in_place_are_handed_over_before_they_are_shipped(
    backend: MemoryBackend, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = backend.create_validated_order({backend.create_product(): 1})
    with monkeypatch.context() as before_the_url_was_set:
        before_the_url_was_set.setattr(handler, "_fulfillment_system", None)
        backend.reserve(order_id)
    outside.plan.append(Behavior.DROP_REQUEST)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    assert backend.stored_order(order_id)["reservation"]["handedOver"] is True


def test_an_order_that_went_outside_is_not_shipped_in_place_as_well(
    backend: MemoryBackend, outside: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = backend.create_validated_order({backend.create_product(): 1})
    outside.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    monkeypatch.setattr(handler, "_fulfillment_system", None)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)


def test_a_fulfilled_order_is_answered_without_asking_again(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    shipment = backend.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    assert backend.reserve(order_id) == shipment
    assert len(outside.received) == 1


def test_an_order_that_is_rejected_or_superseded_never_goes_outside(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=1): 2})
    with pytest.raises(OrderRejected):
        backend.reserve(order_id)
    with pytest.raises(Superseded):
        backend.reserve(order_id, attempt=2)
    assert outside.received == []


def test_a_secret_that_cannot_be_read_leaves_the_order_in_our_hands(
    backend: MemoryBackend, outside: FulfillmentPartner
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    unreadable = Failing(refusal("ResourceNotFoundException"), "GetSecretValue")
    with backend.hooked(unreadable), pytest.raises(Exception, match="ResourceNotFoundException"):
        backend.reserve(order_id)
    assert "reservation" not in backend.stored_order(order_id)
    assert backend.stock(product) == 5
