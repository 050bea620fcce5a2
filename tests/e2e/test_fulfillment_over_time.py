"""A stack whose fulfillment system ships over time, and reports that by calls to the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.partners.calls import Api as CalledApi
from local.partners.calls import CallPlan
from local.partners.fulfillment import FulfillmentPartner, PartnerServer
from local.partners.shipping import ShippingPlan
from local.stack import RunningStack, running_stack
from tests.e2e.conftest import Api, wait_for


@pytest.fixture(scope="module")
def express(server: PartnerServer) -> Iterator[RunningStack]:
    """A stack that uses the fulfillment system."""
    config = {"workflowType": "EXPRESS", "fulfillmentUrl": f"{server.url}orders"}
    with running_stack(config=config) as running:
        server.partner.secret = str(running.signing_secret)
        server.partner.api = CalledApi(running.api_url, running.api_keys["paid"])
        yield running


@pytest.fixture(scope="module")
def shop(express: RunningStack) -> Api:
    """The API of this stack."""
    return Api(express.api_url, express.api_keys["free"], express.api_keys["paid"])


@pytest.fixture
def partner(server: PartnerServer, shop: Api) -> FulfillmentPartner:
    """The fulfillment system with its regular behavior."""
    server.partner.shipping, server.partner.calls = ShippingPlan(), CallPlan(pause=0.2)
    return server.partner


def wait_for_status(shop: Api, order_id: str, status: str, *, seconds: float = 60) -> dict[str, Any]:
    """Returns the order once it has this status."""
    order: dict[str, Any] = wait_for(
        lambda: shop.request("GET", f"/orders/{order_id}").json(),
        lambda order: order["status"] == status,
        seconds=seconds,
    )
    return order


@pytest.mark.parametrize(
    "plan",
    [
        CallPlan(),
        CallPlan(twice=True),
        CallPlan(late=1.0),
        CallPlan(out_of_order=True),
        CallPlan(loses=0.5, pause=0.2),
    ],
    ids=["once", "twice", "late", "out of order", "lost and repeated"],
)
def test_an_order_in_two_parcels_is_delivered_however_its_calls_arrive(
    shop: Api, partner: FulfillmentPartner, plan: CallPlan
) -> None:
    partner.shipping = ShippingPlan(
        ships_after=0.4, parcels=2, delivers_after=0.4, refuses=frozenset({"2"}), returns_after=0.2
    )
    partner.calls = plan
    lamp, desk = shop.create_product(stock=5), shop.create_product(stock=5)
    order_id = shop.place_order(shop.create_user(), {lamp: 3, desk: 1})
    order = wait_for_status(shop, order_id, "DELIVERED")
    assert [entry["status"] for entry in order["history"]] == [
        "PENDING",
        "VALIDATED",
        "IN_FULFILLMENT",
        "FULFILLED",
        "DELIVERED",
    ]
    assert len(order["shipments"]) == 2
    wait_for(lambda: partner.waiting_calls, lambda waiting: waiting == 0)
    returned = shop.request("GET", f"/orders/{order_id}").json()["returns"]
    assert [(back["status"], back["lines"][0]["quantity"]) for back in returned] == [("RECEIVED", 1)]
    assert (shop.stock(lamp), shop.stock(desk)) == (3, 5)


def test_a_request_to_cancel_is_answered_within_seconds(shop: Api, partner: FulfillmentPartner) -> None:
    partner.shipping = ShippingPlan(ships_after=3600.0)
    lamp = shop.create_product(stock=5)
    order_id = shop.place_order(shop.create_user(), {lamp: 3})
    wait_for_status(shop, order_id, "IN_FULFILLMENT")
    assert shop.request("POST", f"/orders/{order_id}/cancel").status_code == 202
    wait_for_status(shop, order_id, "CANCELLED", seconds=20)  # the schedule's next run is in five minutes
    assert shop.stock(lamp) == 5
