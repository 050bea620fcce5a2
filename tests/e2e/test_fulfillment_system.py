"""A stack with EXPRESS executions and a fulfillment system, which fails on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.partners.fulfillment import Behavior, PartnerServer
from local.stack import RunningStack, running_stack
from tests.e2e.conftest import Api


@pytest.fixture(scope="module")
def express(server: PartnerServer) -> Iterator[RunningStack]:
    """A stack that uses the fulfillment system."""
    config = {"workflowType": "EXPRESS", "fulfillmentUrl": f"{server.url}orders"}
    with running_stack(config=config) as running:
        server.partner.secret = str(running.signing_secret)
        yield running


@pytest.fixture(scope="module")
def shop(express: RunningStack) -> Api:
    """The API of this stack."""
    return Api(express.api_url, express.api_keys["free"], express.api_keys["paid"])


def test_an_order_is_shipped_by_the_fulfillment_system(shop: Api, server: PartnerServer) -> None:
    product = shop.create_product(stock=5)
    order = shop.wait_until_final(shop.place_order(shop.create_user(), {product: 2}))
    assert order["status"] == "FULFILLED"
    assert order["shipments"][0]["shipmentId"] == server.partner.shipments[order["orderId"]]
    assert server.partner.contents[order["orderId"]] == {product: 2}
    assert shop.stock(product) == 3


@pytest.mark.parametrize("reports", ["shipments", "refusals", "returns"])
def test_a_route_of_reports_requires_a_key_and_answers_a_preflight_without(shop: Api, reports: str) -> None:
    path = f"/orders/none/{reports}/one"
    assert shop.request("PUT", path, {}, key="").status_code == 403
    asked = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "PUT"}
    # A separate connection: the emulator sends a body with a 204, which would corrupt the next answer.
    answer = shop.request("OPTIONS", path, key="", headers=asked | {"Connection": "close"})
    assert answer.status_code == 204
    assert "PUT" in answer.headers["access-control-allow-methods"].split(",")


@pytest.mark.parametrize("behavior", [Behavior.DROP_ANSWER, Behavior.BUSY, Behavior.GARBLED])
def test_a_lost_or_unusable_answer_ends_in_one_shipment_and_exact_stock(
    shop: Api, server: PartnerServer, behavior: Behavior
) -> None:
    product = shop.create_product(stock=5)
    user = shop.create_user()
    before = len(server.partner.shipments)
    server.partner.plan.append(behavior)
    order = shop.wait_until_final(shop.place_order(user, {product: 2}))
    assert order["status"] == "FULFILLED"
    assert len(server.partner.shipments) == before + 1
    assert shop.stock(product) == 3


def test_a_refusal_returns_the_stock_and_the_client_gets_the_reason(shop: Api, server: PartnerServer) -> None:
    product = shop.create_product(stock=5)
    user = shop.create_user()
    server.partner.plan.append(Behavior.REFUSE)
    order = shop.wait_until_final(shop.place_order(user, {product: 2}))
    assert order["status"] == "FAILED"
    assert order["statusReason"].endswith("refused the order (422): we do not deliver there")
    assert shop.stock(product) == 5
