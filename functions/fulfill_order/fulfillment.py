"""How a validated order becomes a shipment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.persistence.reservations import Reservations


class FulfillmentSystem(Protocol):
    """Ships the goods, when they are not shipped in place."""

    def prepare(self) -> None:
        """Does what may fail before an order is handed over."""

    def ship(
        self, order_id: str, attempt: int, lines: Sequence[OrderLine], *, correlation_id: str
    ) -> Shipment:
        """Requests the shipment. Raises `FulfillmentRefused`, `FulfillmentUnavailable`."""


def fulfill(
    order_id: str,
    attempt: int,
    lines: Sequence[OrderLine],
    *,
    correlation_id: str,
    reservations: Reservations,
    system: FulfillmentSystem | None,
    at: str,
) -> Shipment:
    """Reserves the goods and ships them: by the fulfillment system, or in place without one.

    A repeat ships nothing twice. Raises `OrderRejected` (stock), `OrderCancelled`, `Superseded`,
    `StoreContention`, `NotFound`, and with a fulfillment system `FulfillmentRefused` and
    `FulfillmentUnavailable`.
    """
    if system is not None:
        system.prepare()
    held = reservations.reserve(order_id, attempt, lines, at=at, handed_over=system is not None)
    if held is not None and held.shipment is not None:
        return held.shipment
    was_handed_over = held is not None and held.is_handed_over
    if system is None:
        if was_handed_over:
            raise FulfillmentUnavailable("a fulfillment system has this order, and this stack knows none")
        return Shipment(shipment_id=f"shipment-{order_id}")
    if held is not None and not was_handed_over:
        reservations.hand_over(order_id, attempt, at=at)
    return system.ship(order_id, attempt, lines, correlation_id=correlation_id)
