"""An order: its data, its states, and the only moves between them.

`LEGAL_MOVES` and `STOCK_RULES` are the one statement of what may happen to an order. The conditional writes
in `shared/persistence/orders.py` are generated from them, `raise_unless_repeated` explains with them why a
write was refused, and the tests hold the state machine against them.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, NoReturn

import msgspec

from functions.shared.domain.errors import (
    InvalidInput,
    OrderCancelled,
    OrderRejected,
    Superseded,
    TooLateToCancel,
)
from functions.shared.domain.products import Product

MAX_LINES = 50
MAX_QUANTITY = 1000

# In Python `$` also stands before a line break at the end; `(?!\n)` keeps that out.
Identifier = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+(?!\n)$",
        description="an id (letters, digits, - and _)",
    ),
]

# Makes order and event ids out of names (RFC 9562, UUID version 5): the same name is always the same id.
_NAMESPACE = uuid.UUID("5b0c5b5e-6f5c-4d0e-9c39-0f9f5c1a7d11")


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "PENDING"
    VALIDATED = "VALIDATED"
    FULFILLED = "FULFILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


LEGAL_MOVES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset(
        {OrderStatus.VALIDATED, OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.FAILED}
    ),
    OrderStatus.VALIDATED: frozenset(
        {OrderStatus.FULFILLED, OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.FAILED}
    ),
    OrderStatus.FAILED: frozenset({OrderStatus.PENDING}),
    OrderStatus.FULFILLED: frozenset(),
    OrderStatus.REJECTED: frozenset(),
    OrderStatus.CANCELLED: frozenset(),
}

# Orders in these states still want work; the index `open` holds them.
OPEN_STATUSES = (OrderStatus.PENDING, OrderStatus.VALIDATED)


class StockRule(StrEnum):
    """What must be true of an order's reservation for a move to be legal."""

    ANY = "any"
    HELD = "held"
    NOT_HELD = "not held"
    NOT_HELD_OR_HANDED_OVER = "not held, or handed over"


# Goods never leave the shelf twice and never stay behind: only an order that holds its goods is fulfilled,
# and only one that holds none ends otherwise. The exception is an order that was handed to an outside
# fulfillment system and whose outcome is unknown: it may fail with its goods still held, for an operator.
STOCK_RULES: Mapping[OrderStatus, StockRule] = {
    OrderStatus.PENDING: StockRule.ANY,
    OrderStatus.VALIDATED: StockRule.ANY,
    OrderStatus.FULFILLED: StockRule.HELD,
    OrderStatus.REJECTED: StockRule.NOT_HELD,
    OrderStatus.CANCELLED: StockRule.NOT_HELD,
    OrderStatus.FAILED: StockRule.NOT_HELD_OR_HANDED_OVER,
}


class ReservationState(StrEnum):
    """Whether an order's goods are off the shelf."""

    HELD = "HELD"
    RELEASED = "RELEASED"


class OrderLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One product of an order; title and unit price (minor units) are there once the order was validated."""

    product_id: str
    quantity: int
    title: str | None = None
    unit_price: int | None = None


class HistoryEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One move of an order: the state it went to, when (UTC, ISO 8601), and why."""

    status: OrderStatus
    at: str
    reason: str | None = None


class Reservation(msgspec.Struct, frozen=True, rename="camel"):
    """An order's claim on stock: held or released, by which attempt, and whether it went outside."""

    state: ReservationState
    attempt: int
    handed_over: bool = False


class Shipment(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=False):
    """What the fulfillment answered: the id under which the goods travel."""

    shipment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class Pricing(msgspec.Struct, frozen=True, rename="camel"):
    """What an order costs: priced lines, their sum in minor units, and the ISO 4217 currency."""

    items: list[OrderLine]
    total: int
    currency: str


class Order(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An order as it is stored. Times are UTC ISO 8601 with milliseconds; money is in minor units."""

    order_id: str
    user_id: str
    items: list[OrderLine]
    status: OrderStatus
    history: list[HistoryEntry]
    attempt: int
    created_at: str
    updated_at: str
    total: int | None = None
    currency: str | None = None
    status_reason: str | None = None
    reservation: Reservation | None = None
    shipment: Shipment | None = None
    request_hash: str | None = None
    open_shard: str | None = None
    open_since: str | None = None
    first_attempt: int = 1

    @property
    def is_open(self) -> bool:
        """Whether the order still wants work."""
        return self.status in OPEN_STATUSES

    @property
    def attempts_used(self) -> int:
        """How many attempts there were since the order was placed, or since an operator's last retry."""
        return self.attempt - self.first_attempt + 1

    @property
    def holds_stock(self) -> bool:
        """Whether goods are off the shelf for this order."""
        return self.reservation is not None and self.reservation.state is ReservationState.HELD

    @property
    def is_handed_over(self) -> bool:
        """Whether the order went to an outside fulfillment system, which may ship it at any time."""
        return self.holds_stock and self.reservation is not None and self.reservation.handed_over

    @property
    def pricing(self) -> Pricing | None:
        """The frozen prices, or None while the order was never validated."""
        if self.total is None or self.currency is None:
            return None
        return Pricing(items=self.items, total=self.total, currency=self.currency)


class NewOrderLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A line as a client orders it."""

    product_id: Identifier
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]


class NewOrder(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An order as a client places it: no price and no total, for these are ours to say."""

    user_id: Identifier
    items: Annotated[list[NewOrderLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]

    @property
    def fingerprint(self) -> str:
        """A hash of what is ordered, by which a repeat is told from another order under the same key."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted change of an order's status.

    `attempt` fences: the move is made only if it is still the order's current attempt. None is for a
    client's cancel, which knows no attempt.
    """

    order_id: str
    to: OrderStatus
    at: str
    attempt: int | None = None
    reason: str | None = None
    pricing: Pricing | None = None
    shipment: Shipment | None = None


class StatusChange(msgspec.Struct, frozen=True):
    """One move that an order did make: its number in the order's history, and the states on both sides."""

    number: int
    status: OrderStatus
    previous: OrderStatus | None
    at: str
    reason: str | None


def order_id_for(user_id: str, idempotency_key: str) -> str:
    """The id of the order that this user places under this key: always the same one.

    A user's id has no slash (see `Identifier`), so the keys of two users can never make the same id.
    """
    return str(uuid.uuid5(_NAMESPACE, f"order/{user_id}/{idempotency_key}"))


def new_order(new: NewOrder, *, order_id: str, at: str, with_fingerprint: bool) -> Order:
    """The order that a client's request makes.

    Raises `InvalidInput` when one product stands on two lines.
    """
    seen: set[str] = set()
    for index, line in enumerate(new.items):
        if line.product_id in seen:
            raise InvalidInput(
                "one line per product: this product is on an earlier line already",
                f"items[{index}].productId",
            )
        seen.add(line.product_id)
    return Order(
        order_id=order_id,
        user_id=new.user_id,
        items=[OrderLine(product_id=line.product_id, quantity=line.quantity) for line in new.items],
        status=OrderStatus.PENDING,
        history=[HistoryEntry(status=OrderStatus.PENDING, at=at)],
        attempt=1,
        created_at=at,
        updated_at=at,
        request_hash=new.fingerprint if with_fingerprint else None,
        open_since=at,
    )


def price(lines: Sequence[OrderLine], products: Mapping[str, Product]) -> Pricing:
    """What the lines cost at the products' present prices.

    Raises `OrderRejected` when a product is unknown or the products have different currencies.
    """
    unknown = [line.product_id for line in lines if line.product_id not in products]
    if unknown:
        raise OrderRejected("unknown_product", f"there is no product {', '.join(unknown)}")
    currencies = sorted({products[line.product_id].currency for line in lines})
    if len(currencies) > 1:
        raise OrderRejected("mixed_currencies", f"one order has one currency, not {' and '.join(currencies)}")
    priced = [
        OrderLine(
            product_id=line.product_id,
            quantity=line.quantity,
            title=products[line.product_id].title,
            unit_price=products[line.product_id].price,
        )
        for line in lines
    ]
    total = sum(products[line.product_id].price * line.quantity for line in lines)
    return Pricing(items=priced, total=total, currency=currencies[0])


def sources_of(status: OrderStatus) -> tuple[OrderStatus, ...]:
    """The states from which an order may move to this one."""
    return tuple(source for source, targets in LEGAL_MOVES.items() if status in targets)


def stock_allows(order: Order, to: OrderStatus) -> bool:
    """Whether the order's reservation allows a move to this state (see `STOCK_RULES`)."""
    rule = STOCK_RULES[to]
    if rule is StockRule.HELD:
        return order.holds_stock
    if rule is StockRule.NOT_HELD:
        return not order.holds_stock
    if rule is StockRule.NOT_HELD_OR_HANDED_OVER:
        return not order.holds_stock or order.is_handed_over
    return True


def recent_changes(order: Order) -> list[StatusChange]:
    """The order's moves since it was last put to PENDING, that one included, oldest first.

    The number of a move never changes, so that a repeated announcement can carry the same id.
    """
    changes: list[StatusChange] = []
    for number in range(len(order.history) - 1, -1, -1):
        entry = order.history[number]
        previous = order.history[number - 1].status if number else None
        changes.insert(0, StatusChange(number, entry.status, previous, entry.at, entry.reason))
        if entry.status is OrderStatus.PENDING:
            break
    return changes


def last_change_to(order: Order, status: OrderStatus) -> StatusChange | None:
    """The order's move to this state since it was last put to PENDING, or None if it made none."""
    return next((change for change in recent_changes(order) if change.status is status), None)


def event_id_of(order_id: str, change: StatusChange) -> str:
    """The id of the event that announces this change: the same at every announcement."""
    return str(uuid.uuid5(_NAMESPACE, f"event/{order_id}/{change.number}"))


def raise_unless_repeated(order: Order, move: Move) -> None:
    """Explain why the store refused `move` on `order` (the order as the store found it).

    Returns when the order made this very move before: a repeat changes nothing and is a success. Otherwise
    raises `OrderCancelled`, `Superseded`, or for a cancel `TooLateToCancel`.
    """
    if move.attempt is not None and move.attempt != order.attempt:
        raise_no_longer_current(order)
    if last_change_to(order, move.to) is not None:
        return
    if move.to is OrderStatus.CANCELLED and order.status is not OrderStatus.CANCELLED:
        raise TooLateToCancel(
            "the goods are reserved and on their way"
            if order.is_open
            else f"the order is {order.status.value} already"
        )
    raise_no_longer_current(order)


def raise_unless_reserved(order: Order, attempt: int) -> None:
    """Explain why the store refused to reserve goods for `attempt` of `order`.

    Returns when the goods are held already: there is nothing to do. Otherwise raises `OrderCancelled` or
    `Superseded`.
    """
    if (
        order.attempt == attempt
        and order.holds_stock
        and order.status
        in (
            OrderStatus.VALIDATED,
            OrderStatus.FULFILLED,
        )
    ):
        return
    raise_no_longer_current(order)


def raise_no_longer_current(order: Order) -> NoReturn:
    """End a workflow that may not go on with `order`: raises `OrderCancelled` or `Superseded`."""
    if order.status is OrderStatus.CANCELLED:
        raise OrderCancelled("the order was cancelled")
    raise Superseded(f"the order is {order.status.value} in attempt {order.attempt}")
