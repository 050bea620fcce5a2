"""A stack with a fulfillment system that has one order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.memory.backend import MemoryBackend, installed
from local.partners.shipping import ShippingPlan


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    """A stack with a fulfillment system that answers 202, and ships much later."""
    backend = MemoryBackend(uses_fulfillment_system=True)
    backend.cloud.partner.shipping = ShippingPlan(ships_after=1_000_000)
    with installed(backend):
        backend.add_products(p1=5, p2=3)
        yield backend


@pytest.fixture
def order_id(backend: MemoryBackend) -> str:
    """An order of three p1 and one p2 that is IN_FULFILLMENT."""
    order_id = backend.place_order("k", p1=3, p2=1)
    backend.run_workflow()
    assert backend.status(order_id) == "IN_FULFILLMENT"
    backend.take_events()
    return order_id
