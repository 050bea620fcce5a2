"""Reserves the stock of a validated order and ships it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from functions.shared.domain.errors import FulfillmentUnavailable
from functions.shared.domain.orders import Fulfillment, Order, OrderContent, OrderLine, OrderStatus, Shipment
from functions.shared.domain.shipping import held, record_word
from functions.shared.fulfillment import log_contradictions
from functions.shared.outcomes import count_moves
from functions.shared.persistence.reports import Reports
from functions.shared.persistence.reservations import Reservations

if TYPE_CHECKING:
    from functions.shared.fulfillment_client import FulfillmentClient


def fulfill(
    order_id: str,
    attempt: int,
    lines: Sequence[OrderLine],
    *,
    read_content: Callable[[], OrderContent],
    correlation_id: str,
    reservations: Reservations,
    reports: Reports,
    system: FulfillmentClient | None,
    at: str,
    due_at: str,
) -> Fulfillment:
    """Reserves the stock of an order and ships it: by the fulfillment system, or in place without one.

    A fulfillment system may ship later: then the order becomes IN_FULFILLMENT, and is looked at again at
    `due_at`. A repeat ships nothing twice. An order that another fulfillment system has stays there: it may
    be shipped already. Raises `OrderRejected` (stock), `OrderCancelled`, `Superseded`, `StoreContention`,
    `NotFound`, and with a fulfillment system `FulfillmentRefused` and `FulfillmentUnavailable`.
    """
    if system is not None:
        system.prepare()
    present = reservations.reserve(
        order_id, attempt, lines, at=at, handed_over_to=system.name if system else None
    )
    if present is not None and present.shipments and not any(held(present)):
        return Fulfillment(OrderStatus.FULFILLED)
    owner = None if present is None else present.handed_over_to
    if owner is not None and (system is None or system.name != owner):
        raise FulfillmentUnavailable(f"the fulfillment system {owner} has this order, and is not configured")
    if system is None:
        shipment = Shipment(shipment_id=f"shipment-{order_id}")
        return Fulfillment(OrderStatus.FULFILLED, shipment, in_place=True)
    if present is not None and owner is None:
        reservations.hand_over(order_id, attempt, to=system.name, at=at)
    word = system.ship(order_id, attempt, lines, content=read_content(), correlation_id=correlation_id)
    is_first = present is None or not (present.shipments or present.refusals)
    if word.whole is not None and is_first and not (word.shipments or word.refusals):
        return Fulfillment(OrderStatus.FULFILLED, Shipment(shipment_id=word.whole))
    if not (word.whole or word.shipments or word.refusals):
        return Fulfillment(OrderStatus.IN_FULFILLMENT, due_at=due_at)
    recorded = reports.record(
        order_id, lambda order: record_word(order, word, at=at), due_at=due_at, quiet_due_at=due_at
    )
    count_moves(recorded.moves)  # the Mark... task finds them made
    log_contradictions(recorded.contradictions)
    return Fulfillment(_status_after(recorded.order), due_at=due_at)


def _status_after(order: Order) -> OrderStatus:
    """Returns the status for the workflow to set. What a report led to is not set again."""
    if order.status is OrderStatus.FAILED:
        return OrderStatus.FAILED
    is_shipped = order.status in (OrderStatus.FULFILLED, OrderStatus.DELIVERED)
    return OrderStatus.FULFILLED if is_shipped else OrderStatus.IN_FULFILLMENT
