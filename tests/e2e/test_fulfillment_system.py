"""A stack with EXPRESS executions and a fulfillment system outside, which does as it likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from local.stack import SIGNING_SECRET, RunningStack, running_stack
from tests.e2e.conftest import Api


@pytest.fixture(scope="module")
def warehouse() -> Iterator[PartnerServer]:
    """A warehouse that does not know the secret yet."""
    with PartnerServer(FulfillmentPartner("")) as server:
        yield server


@pytest.fixture(scope="module")
def express(warehouse: PartnerServer) -> Iterator[RunningStack]:
    """The stack, pointed at the warehouse."""
    config = {"workflowType": "EXPRESS", "fulfillmentUrl": f"{warehouse.url}orders"}
    with running_stack(config=config) as running:
        secret = running.client("secretsmanager").get_secret_value(SecretId=SIGNING_SECRET)
        warehouse.warehouse.secret = secret["SecretString"]
        yield running


@pytest.fixture(scope="module")
def shop(express: RunningStack) -> Api:
    """Its API."""
    return Api(express.api_url, express.api_keys["free"], express.api_keys["paid"])


def test_an_order_is_shipped_by_the_warehouse(shop: Api, warehouse: PartnerServer) -> None:
    product = shop.product(stock=5)
    order = shop.final(shop.order(shop.user(), {product: 2}))
    assert order["status"] == "FULFILLED"
    assert order["shipment"]["shipmentId"] == warehouse.warehouse.shipments[order["orderId"]]
    assert warehouse.warehouse.contents[order["orderId"]] == {product: 2}
    assert shop.stock(product) == 3


@pytest.mark.parametrize("behavior", [Behavior.DROP_ANSWER, Behavior.BUSY, Behavior.GARBLED])
def test_an_answer_that_was_lost_ends_in_one_shipment_and_exact_stock(
    shop: Api, warehouse: PartnerServer, behavior: Behavior
) -> None:
    product = shop.product(stock=5)
    user = shop.user()
    before = len(warehouse.warehouse.shipments)
    warehouse.warehouse.plan.append(behavior)
    order = shop.final(shop.order(user, {product: 2}))
    assert order["status"] == "FULFILLED"
    assert len(warehouse.warehouse.shipments) == before + 1
    assert shop.stock(product) == 3


def test_a_refusal_gives_the_goods_back_and_is_told_to_the_client(
    shop: Api, warehouse: PartnerServer
) -> None:
    product = shop.product(stock=5)
    user = shop.user()
    warehouse.warehouse.plan.append(Behavior.REFUSE)
    order = shop.final(shop.order(user, {product: 2}))
    assert order["status"] == "FAILED"
    assert order["statusReason"].endswith("refused the order (422): we do not deliver there")
    assert shop.stock(product) == 5
