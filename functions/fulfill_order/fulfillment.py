"""How a validated order becomes a shipment."""

from __future__ import annotations

from collections.abc import Sequence

from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.persistence.orders import OrderRepository


def fulfill(
    order_id: str, attempt: int, lines: Sequence[OrderLine], *, orders: OrderRepository, at: str
) -> Shipment:
    """Reserve the goods, then ship them in place. Repeating it ships nothing twice: the shipment's id is
    derived from the order's.

    Raises `OrderRejected` (stock), `OrderCancelled`, `Superseded`, `StoreContention`, `NotFound`.
    """
    orders.reserve(order_id, attempt, lines, at=at)
    return Shipment(shipment_id=f"shipment-{order_id}")
