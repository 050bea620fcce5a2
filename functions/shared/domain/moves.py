"""The moves between an order's statuses, and the conditions of each.

`LEGAL_MOVES` and `CONDITIONS` state once what may happen to an order. `shared/persistence` generates its
conditional writes from them. `raise_unless_repeated` explains a refused write with them. The tests hold the
state machine against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, NoReturn

import msgspec

from functions.shared.domain.errors import (
    FulfillmentRefused,
    OrderCancelled,
    Superseded,
    TooLateToCancel,
)
from functions.shared.domain.orders import Order, OrderStatus, Pricing, Shipment

LEGAL_MOVES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(
        {OrderStatus.VALIDATED, OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.FAILED}
    ),
    OrderStatus.VALIDATED: frozenset(
        {
            OrderStatus.IN_FULFILLMENT,
            OrderStatus.FULFILLED,
            OrderStatus.REJECTED,
            OrderStatus.CANCELLED,
            OrderStatus.FAILED,
        }
    ),
    OrderStatus.IN_FULFILLMENT: frozenset({OrderStatus.FULFILLED, OrderStatus.CANCELLED, OrderStatus.FAILED}),
    OrderStatus.FULFILLED: frozenset({OrderStatus.DELIVERED}),
    OrderStatus.FAILED: frozenset({OrderStatus.PENDING}),
    OrderStatus.DELIVERED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}


class StockRule(StrEnum):
    """What must be true of an order's reservation before a move."""

    ANY = "any"
    HELD = "held"
    NOT_HELD = "not held"
    NOT_HELD_OR_HANDED_OVER = "not held, or handed over"
    HELD_OR_NOT_SHIPPED = "held, or nothing shipped"


class Conditions(NamedTuple):
    """What must be true of an order before it moves to a status. A column per part of the order."""

    stock: StockRule


# IN_FULFILLMENT, FULFILLED and DELIVERED require a held reservation. Its lines are held until they are
# shipped or refused, one by one (`shared/domain/shipping.py`). REJECTED and CANCELLED require that none is
# held. An order that was handed to a fulfillment system may fail with a held reservation: its outcome is
# unknown, an operator decides. An order that shipped after its release cannot reserve again.
CONDITIONS: Mapping[OrderStatus, Conditions] = {
    OrderStatus.PENDING: Conditions(stock=StockRule.HELD_OR_NOT_SHIPPED),
    OrderStatus.VALIDATED: Conditions(stock=StockRule.ANY),
    OrderStatus.IN_FULFILLMENT: Conditions(stock=StockRule.HELD),
    OrderStatus.FULFILLED: Conditions(stock=StockRule.HELD),
    OrderStatus.DELIVERED: Conditions(stock=StockRule.HELD),
    OrderStatus.REJECTED: Conditions(stock=StockRule.NOT_HELD),
    OrderStatus.CANCELLED: Conditions(stock=StockRule.NOT_HELD),
    OrderStatus.FAILED: Conditions(stock=StockRule.NOT_HELD_OR_HANDED_OVER),
}


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A requested change of an order's status.

    With `attempt` the move requires that the order is still in this attempt. A client's cancel has None. An
    order that does not end with the move is looked at again at `due_at`, if that changes. A move `in_place`
    requires that no fulfillment system has the order: an invocation that outlived its task may have sent it.
    """

    order_id: str
    to: OrderStatus
    at: str
    attempt: int | None = None
    reason: str | None = None
    pricing: Pricing | None = None
    shipment: Shipment | None = None
    due_at: str | None = None
    in_place: bool = False


class MoveResult(NamedTuple):
    """The order after a move, and whether this move changed it. A repeated move changes nothing."""

    order: Order
    changed: bool


class StatusChange(msgspec.Struct, frozen=True):
    """A move that an order made: its number in the history, and the statuses before and after."""

    number: int
    status: OrderStatus
    previous: OrderStatus | None
    at: str
    reason: str | None


def sources_of(status: OrderStatus) -> tuple[OrderStatus, ...]:
    """Returns the statuses from which an order may move to this one."""
    return tuple(source for source, targets in LEGAL_MOVES.items() if status in targets)


def conditions_hold(order: Order, to: OrderStatus) -> bool:
    """Returns whether the conditions of a move to this status hold for an order (see `CONDITIONS`)."""
    rule = CONDITIONS[to].stock
    if rule is StockRule.HELD:
        return order.holds_stock
    if rule is StockRule.NOT_HELD:
        return not order.holds_stock
    if rule is StockRule.NOT_HELD_OR_HANDED_OVER:
        return not order.holds_stock or order.is_handed_over
    if rule is StockRule.HELD_OR_NOT_SHIPPED:
        return order.holds_stock or not order.shipments
    return True


def recent_changes(order: Order) -> list[StatusChange]:
    """Returns the moves since the order was last put to PENDING, including that one, oldest first.

    The number of a move never changes, so a repeated event has the same id.
    """
    changes: list[StatusChange] = []
    for number in range(len(order.history) - 1, -1, -1):
        changes.insert(0, change_of(order, number))
        if order.history[number].status is OrderStatus.PENDING:
            break
    return changes


def change_of(order: Order, number: int) -> StatusChange:
    """Returns the order's move with this number."""
    entry = order.history[number]
    previous = order.history[number - 1].status if number else None
    return StatusChange(number, entry.status, previous, entry.at, entry.reason)


def last_change_to(order: Order, status: OrderStatus) -> StatusChange | None:
    """Returns the move to this status since the order was last put to PENDING, or None."""
    return next((change for change in recent_changes(order) if change.status is status), None)


def raise_unless_repeated(order: Order, move: Move) -> None:
    """Explains why the store refused `move`. `order` is the order as the store found it.

    Returns when the order made this move before: a repeat changes nothing and succeeds. Otherwise raises
    `OrderCancelled`, `Superseded`, or for a cancel `TooLateToCancel`.
    """
    if move.attempt is not None and move.attempt != order.attempt:
        raise_no_longer_current(order)
    if last_change_to(order, move.to) is not None:
        return
    if move.to is OrderStatus.CANCELLED and order.status is not OrderStatus.CANCELLED:
        raise TooLateToCancel(
            "its stock is reserved; only an order without a reservation can be cancelled"
            if order.is_open
            else f"the order is {order.status.value} already"
        )
    if move.in_place and order.is_handed_over:
        raise Superseded(f"the fulfillment system {order.handed_over_to} has the order")
    raise_no_longer_current(order)


def raise_unless_reserved(order: Order, attempt: int) -> None:
    """Explains why the store refused to reserve stock for `attempt` of `order`.

    Returns if the order holds its stock already. Raises `FulfillmentRefused` if parcels left after the stock
    was released: they are not shipped again. Otherwise raises `OrderCancelled` or `Superseded`.
    """
    is_validated = order.status in (OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT, OrderStatus.FULFILLED)
    if order.attempt == attempt and order.holds_stock and is_validated:
        return
    if order.attempt == attempt and order.status is OrderStatus.VALIDATED and order.shipments:
        raise FulfillmentRefused("parcels left after the stock was released: it is not reserved again")
    raise_no_longer_current(order)


def raise_no_longer_current(order: Order) -> NoReturn:
    """Raises `OrderCancelled` or `Superseded`: the caller must not change the order any more."""
    if order.status is OrderStatus.CANCELLED:
        raise OrderCancelled("the order was cancelled")
    raise Superseded(f"the order is {order.status.value} in attempt {order.attempt}")
