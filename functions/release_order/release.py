"""Releases the reservation of a refused order."""

from __future__ import annotations

from functions.shared.domain.moves import raise_no_longer_current
from functions.shared.domain.orders import OrderStatus
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations


def release(
    order_id: str, attempt: int, *, orders: OrderRepository, reservations: Reservations, at: str
) -> None:
    """Returns the stock of a refused order, once, also if the order was handed over.

    Raises `OrderCancelled`, `Superseded`, `StoreContention`, `NotFound`.
    """
    order = orders.get(order_id)
    if order.status is OrderStatus.CANCELLED or order.attempt != attempt:
        raise_no_longer_current(order)
    reservations.release(order, at=at, even_if_handed_over=True)
