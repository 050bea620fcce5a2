"""A fulfillment system, and `fulfill_order` configured for it as in the local stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.shared.domain.orders import OrderContent, OrderLine
from functions.shared.domain.shipping import Word
from local.memory.backend import MemoryBackend
from local.memory.iam import FULFILLMENT_SYSTEM, SECRET_ARN, grants
from local.partners.fulfillment import FulfillmentPartner, PartnerServer

SECRET = "a secret that must not be logged"


@pytest.fixture
def partner() -> FulfillmentPartner:
    return FulfillmentPartner(SECRET)


@pytest.fixture
def server(partner: FulfillmentPartner) -> Iterator[PartnerServer]:
    with PartnerServer(partner) as server:
        yield server


@pytest.fixture
def fulfillment_system(
    backend: MemoryBackend, server: PartnerServer, monkeypatch: pytest.MonkeyPatch
) -> FulfillmentPartner:
    """A running fulfillment system. `fulfill_order` has its URL and the permission to read its secret."""
    configure(backend, f"{server.url}orders?from=tests", monkeypatch)
    return server.partner


def configure(backend: MemoryBackend, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configures `fulfill_order` for a fulfillment system at this URL."""
    from functions.fulfill_order import handler
    from functions.shared.fulfillment import open_fulfillment_system

    backend.cloud.partner.secret = SECRET
    backend.cloud.iam.granted = grants(**FULFILLMENT_SYSTEM)
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", SECRET_ARN)
    monkeypatch.setenv("FULFILLMENT_URL", url)
    monkeypatch.setattr(handler, "_fulfillment_system", open_fulfillment_system())


def request_shipment(attempt: int = 1) -> Word:
    """Requests a shipment of an order that is not stored."""
    from functions.fulfill_order import handler

    assert handler._fulfillment_system is not None
    handler._fulfillment_system.prepare()
    line = OrderLine(product_id="p-1", quantity=2, title="Lamp", unit_price=100)
    return handler._fulfillment_system.ship(
        "o-1", attempt, [line], content=OrderContent(), correlation_id="cid-1"
    )
