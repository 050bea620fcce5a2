"""How a refused order gives its goods back."""

from __future__ import annotations

from functions.shared.domain.orders import OrderStatus, raise_no_longer_current
from functions.shared.persistence.orders import OrderRepository


def release(order_id: str, attempt: int, *, orders: OrderRepository, at: str) -> None:
    """Put the goods of an order back, once.

    The refusal was definitive, so it does not matter that the order was handed over. Raises `OrderCancelled`,
    `Superseded`, `StoreContention`, `NotFound`.
    """
    order = orders.get(order_id)
    if order.status is OrderStatus.CANCELLED or order.attempt != attempt:
        raise_no_longer_current(order)
    orders.release(order, at=at, even_if_handed_over=True)
