"""How a validated order becomes a shipment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.persistence.orders import OrderRepository


class FulfillmentSystem(Protocol):
    """Who ships the goods, when they are not shipped in place."""

    def prepare(self) -> None:
        """Do what may fail before an order is handed over."""

    def ship(
        self, order_id: str, attempt: int, lines: Sequence[OrderLine], *, correlation_id: str
    ) -> Shipment:
        """Have the goods shipped. Raises `FulfillmentRefused`, `FulfillmentUnavailable`."""


def fulfill(
    order_id: str,
    attempt: int,
    lines: Sequence[OrderLine],
    *,
    correlation_id: str,
    orders: OrderRepository,
    outside: FulfillmentSystem | None,
    at: str,
) -> Shipment:
    """Reserve the goods, then have them shipped: by the system `outside`, or without one in place. Repeating
    it ships nothing twice.

    Raises `OrderRejected` (stock), `OrderCancelled`, `Superseded`, `StoreContention`, `NotFound`, and with a
    system outside `FulfillmentRefused` and `FulfillmentUnavailable`.
    """
    if outside is not None:
        outside.prepare()
    held = orders.reserve(order_id, attempt, lines, at=at, handed_over=outside is not None)
    if held is not None and held.shipment is not None:
        return held.shipment
    was_handed_over = held is not None and held.is_handed_over
    if outside is None:
        if was_handed_over:
            raise FulfillmentUnavailable("a fulfillment system has this order, and this stack knows none")
        return Shipment(shipment_id=f"shipment-{order_id}")
    if held is not None and not was_handed_over:
        orders.hand_over(order_id, attempt, at=at)
    return outside.ship(order_id, attempt, lines, correlation_id=correlation_id)
