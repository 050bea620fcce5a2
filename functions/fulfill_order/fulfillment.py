"""Reserves the stock of a validated order and ships it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.persistence.reservations import Reservations


class FulfillmentSystem(Protocol):
    """The system that ships orders, if they are not shipped in place."""

    name: str
    """Its URL without scheme and query. An order stays with the system of this name."""

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
    """Reserves the stock of an order and ships it: by the fulfillment system, or in place without one.

    A repeat ships nothing twice. An order that another fulfillment system has stays there: it may be shipped
    already. Raises `OrderRejected` (stock), `OrderCancelled`, `Superseded`, `StoreContention`, `NotFound`,
    and with a fulfillment system `FulfillmentRefused` and `FulfillmentUnavailable`.
    """
    if system is not None:
        system.prepare()
    held = reservations.reserve(
        order_id, attempt, lines, at=at, handed_over_to=system.name if system else None
    )
    if held is not None and held.shipment is not None:
        return held.shipment
    owner = None if held is None else held.handed_over_to
    if owner is not None and (system is None or system.name != owner):
        raise FulfillmentUnavailable(f"the fulfillment system {owner} has this order, and is not configured")
    if system is None:
        return Shipment(shipment_id=f"shipment-{order_id}")
    if held is not None and owner is None:
        reservations.hand_over(order_id, attempt, to=system.name, at=at)
    return system.ship(order_id, attempt, lines, correlation_id=correlation_id)
