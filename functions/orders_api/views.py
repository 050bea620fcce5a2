"""The order as clients get it: without attempts, reservations and other internals."""

from __future__ import annotations

from functions.shared.domain.errors import RejectionCode
from functions.shared.domain.orders import (
    HistoryEntry,
    Order,
    OrderContent,
    OrderLine,
    OrderStatus,
    Shipment,
)


class OrderView(OrderContent, frozen=True, rename="camel", omit_defaults=True):
    """An order in the API. `total` and `currency` are absent until the order is priced."""

    order_id: str
    user_id: str
    items: list[OrderLine]
    status: OrderStatus
    history: list[HistoryEntry]
    created_at: str
    updated_at: str
    total: int | None = None
    currency: str | None = None
    status_reason: str | None = None
    rejection_code: RejectionCode | None = None
    shipment: Shipment | None = None


def view(order: Order) -> OrderView:
    """Returns the client's view of an order."""
    return OrderView(**{field: getattr(order, field) for field in OrderView.__struct_fields__})
