"""A fulfillment system, and FulfillOrder configured for it as the local stack does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from functions.shared.domain.orders import OrderLine, Shipment
from local.memory.functions import World
from local.partners.fulfillment import FulfillmentPartner, PartnerServer

SECRET = "a secret that nobody may see"


@pytest.fixture
def warehouse() -> FulfillmentPartner:
    return FulfillmentPartner(SECRET)


@pytest.fixture
def server(warehouse: FulfillmentPartner) -> Iterator[PartnerServer]:
    with PartnerServer(warehouse) as server:
        yield server


@pytest.fixture
def secrets(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Secrets Manager, holding the secret under the name that the stack knows."""
    client = boto3.client("secretsmanager")
    arn = client.create_secret(Name="fulfillment", SecretString=SECRET)["ARN"]
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", arn)
    return client


@pytest.fixture
def outside(
    world: World, server: PartnerServer, secrets: Any, monkeypatch: pytest.MonkeyPatch
) -> FulfillmentPartner:
    """The warehouse, with FulfillOrder configured as the local stack does it."""
    from functions.fulfill_order import handler

    monkeypatch.setenv("FULFILLMENT_URL", f"{server.url}orders?from=tests")
    monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true")
    monkeypatch.setattr(handler, "_fulfillment_system", handler._outside())
    return server.warehouse


def ship(attempt: int = 1) -> Shipment:
    """Ask for a shipment without any order behind it."""
    from functions.fulfill_order import handler

    assert handler._fulfillment_system is not None
    handler._fulfillment_system.prepare()
    line = OrderLine(product_id="p-1", quantity=2, title="Lamp", unit_price=100)
    return handler._fulfillment_system.ship("o-1", attempt, [line], correlation_id="cid-1")
