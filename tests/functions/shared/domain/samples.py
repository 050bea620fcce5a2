"""Orders, products and moves for the tests of the domain."""

from __future__ import annotations

import msgspec

from functions.shared.domain.moves import Move
from functions.shared.domain.orders import (
    HistoryEntry,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
)
from functions.shared.domain.products import Product
from functions.shared.violations import violations

AT = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-01T00:01:00.000Z"


def order(*statuses: OrderStatus, attempt: int = 1, reservation: Reservation | None = None) -> Order:
    """An order that went through these states after PENDING."""
    history = [HistoryEntry(status=status, at=AT) for status in (OrderStatus.PENDING, *statuses)]
    return Order(
        order_id="o-1",
        user_id="u-1",
        items=[OrderLine(product_id="p-1", quantity=2)],
        status=history[-1].status,
        history=history,
        attempt=attempt,
        created_at=AT,
        updated_at=AT,
        reservation=reservation,
    )


def product(product_id: str, price: int = 100, currency: str = "EUR") -> Product:
    return Product(
        product_id=product_id,
        title=f"title of {product_id}",
        price=price,
        currency=currency,
        stock=5,
        version=1,
        created_at=AT,
        updated_at=AT,
    )


def held_reservation(attempt: int = 1, *, handed_over_to: str | None = None) -> Reservation:
    return Reservation(state=ReservationState.HELD, attempt=attempt, handed_over_to=handed_over_to)


def move(to: OrderStatus, attempt: int | None = 1) -> Move:
    return Move(order_id="o-1", to=to, at=LATER, attempt=attempt)


def mistakes(kind: type[msgspec.Struct], content: object) -> list[tuple[str, str]]:
    """Returns the wrong fields of an input, each with the expected value."""
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError:
        return [(one.field, one.message) for one in violations(content, kind)]
    return []


RESERVATIONS: dict[str, Reservation | None] = {
    "none": None,
    "released": Reservation(state=ReservationState.RELEASED, attempt=1),
    "held": held_reservation(),
    "handed over": held_reservation(handed_over_to="partner.example"),
}
"""Every kind of reservation that an order can have."""
