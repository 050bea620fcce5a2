"""What a client sees of an order: all that is the client's business, and nothing of how we work."""

from __future__ import annotations

import msgspec

from functions.shared.domain.orders import HistoryEntry, Order, OrderLine, OrderStatus, Shipment


class OrderView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An order as the API answers it. `total` and `currency` are absent while the order is not priced yet."""

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
    shipment: Shipment | None = None


def view(order: Order) -> OrderView:
    """The client's view of an order."""
    return OrderView(**{field: getattr(order, field) for field in OrderView.__struct_fields__})
