"""What is still owed for an order. An order stays in the open index until it owes nothing.

A kind of obligation has a row in the table of `requeue_stalled_orders`, which says how to meet it.
`Order.due_at` is the time at which to look again.
"""

from __future__ import annotations

from enum import StrEnum

from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus


class Obligation(StrEnum):
    """A kind of obligation."""

    EVENT = "event"  # an order event is not yet published
    ATTEMPT = "attempt"  # the workflow has not finished
    CANCELLATION = "cancellation"  # the fulfillment system has not answered a client's request to cancel
    WORD = "word"  # the fulfillment system has not shipped or refused everything


def owed(order: Order) -> Obligation | None:
    """Returns what an order owes first, or None. The events of the past come before what is next."""
    if order.unsent or (order.status not in UNFINISHED_STATUSES and order.due_at is not None):
        return Obligation.EVENT
    if order.is_open:
        return Obligation.ATTEMPT
    if order.status is not OrderStatus.IN_FULFILLMENT:
        return None
    return Obligation.CANCELLATION if order.waits_for_cancellation else Obligation.WORD
