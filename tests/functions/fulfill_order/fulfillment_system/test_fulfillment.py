"""Orders that a fulfillment system ships: reservation, shipment and stock."""

from __future__ import annotations

import json

import pytest

from functions.shared.domain.errors import (
    FulfillmentUnavailable,
    OrderRejected,
    Superseded,
)
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import invoke_task
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from tests.functions.fulfill_order.fulfillment_system.conftest import SECRET, configure


def test_one_transaction_reserves_the_stock_and_marks_the_order_as_handed_over(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner, server: PartnerServer
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    assert backend.reserve(order_id) == {"status": "FULFILLED", "shipment": {"shipmentId": "parcel-1"}}
    assert backend.stored_order(order_id)["reservation"] == {
        "state": "HELD",
        "attempt": 1,
        "handedOverTo": f"{server.url.removeprefix('http://')}orders",
    }
    assert fulfillment_system.contents == {order_id: {product: 2}}


def test_a_lost_answer_to_an_accepted_order_ends_in_one_shipment(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    fulfillment_system.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    assert backend.reserve(order_id) == {"status": "FULFILLED", "shipment": {"shipmentId": "parcel-1"}}
    assert len(fulfillment_system.shipments) == 1
    assert backend.stock(product) == 3


def test_an_earlier_reservation_is_marked_as_handed_over_before_the_request(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = backend.create_validated_order({backend.create_product(): 1})
    with monkeypatch.context() as before_the_url_was_set:
        before_the_url_was_set.setattr(handler, "_fulfillment_system", None)
        backend.reserve(order_id)
    fulfillment_system.plan.append(Behavior.DROP_REQUEST)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    assert backend.stored_order(order_id)["reservation"]["handedOverTo"].endswith("/orders")


def test_an_order_stays_with_the_system_that_it_was_handed_to(
    backend: MemoryBackend,
    fulfillment_system: FulfillmentPartner,
    server: PartnerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    fulfillment_system.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    other = FulfillmentPartner(SECRET)
    with PartnerServer(other) as other_server:
        configure(backend, f"{other_server.url}orders", monkeypatch)
        with pytest.raises(
            FulfillmentUnavailable, match=rf"{server.url.split('/')[2]}/orders has this order"
        ):
            backend.reserve(order_id)
    assert other.shipments == {}
    configure(backend, f"{server.url}orders?version=2", monkeypatch)
    assert backend.reserve(order_id) == {"status": "FULFILLED", "shipment": {"shipmentId": "parcel-1"}}


def test_an_order_that_was_handed_over_needs_the_fulfillment_system(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    order_id = backend.create_validated_order({backend.create_product(): 1})
    fulfillment_system.plan.append(Behavior.DROP_ANSWER)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)
    monkeypatch.setattr(handler, "_fulfillment_system", None)
    with pytest.raises(FulfillmentUnavailable):
        backend.reserve(order_id)


def test_a_fulfilled_order_returns_its_shipment_without_a_request(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    shipment = backend.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", fulfillment=shipment)
    assert backend.reserve(order_id) == {"status": "FULFILLED"}
    assert backend.stored_order(order_id)["shipments"] == [shipment["shipment"]]
    assert len(fulfillment_system.received) == 1


def test_a_rejected_or_superseded_order_is_not_sent(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    order_id = backend.create_validated_order({backend.create_product(stock=1): 2})
    with pytest.raises(OrderRejected):
        backend.reserve(order_id)
    with pytest.raises(Superseded):
        backend.reserve(order_id, attempt=2)
    assert fulfillment_system.received == []


def test_the_request_has_what_a_client_said_about_the_order(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.set_order(order_id, reference="PO-7")
    invoke_task("fulfill_order", order_id, pricing=invoke_task("validate_order", order_id))
    assert json.loads(fulfillment_system.received[-1].body)["reference"] == "PO-7"


def test_without_a_readable_secret_no_stock_is_reserved(
    backend: MemoryBackend, fulfillment_system: FulfillmentPartner
) -> None:
    product = backend.create_product(stock=5)
    order_id = backend.create_validated_order({product: 2})
    unreadable = Failing(refusal("ResourceNotFoundException"), "GetSecretValue")
    with backend.hooked(unreadable), pytest.raises(Exception, match="ResourceNotFoundException"):
        backend.reserve(order_id)
    assert "reservation" not in backend.stored_order(order_id)
    assert backend.stock(product) == 5
