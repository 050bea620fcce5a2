"""The order as clients get it: without attempts, reservations and other internals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from functions.shared.domain.errors import RejectionCode
from functions.shared.domain.moves import last_change_to
from functions.shared.domain.orders import (
    HistoryEntry,
    Order,
    OrderContent,
    OrderLine,
    OrderStatus,
    Return,
    ReturnStatus,
    Shipment,
)
from functions.shared.domain.shipping import ReportedLine, ReturnedLine, by_product, pieces_of


class ShipmentView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A parcel in the API."""

    shipment_id: str
    lines: list[ReportedLine]
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: str | None = None
    delivered_at: str | None = None


class RefusalView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Lines that are not shipped, in the API."""

    refusal_id: str
    lines: list[ReportedLine]
    reason: str


class ReturnView(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Items that come back, in the API."""

    return_id: str
    status: ReturnStatus
    lines: list[ReturnedLine]
    at: str
    reason: str | None = None


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
    shipments: list[ShipmentView] = msgspec.field(default_factory=list)
    refusals: list[RefusalView] = msgspec.field(default_factory=list)
    returns: list[ReturnView] = msgspec.field(default_factory=list)
    cancel_requested_at: str | None = None
    cancel_refused_at: str | None = None


def view(order: Order) -> OrderView:
    """Returns the client's view of an order."""
    facts: dict[str, Any] = {
        "shipments": [_shipment(order, shipment) for shipment in order.shipments],
        "refusals": [
            RefusalView(refusal_id=one.refusal_id, lines=_lines(order, one.quantities), reason=one.reason)
            for one in order.refusals
        ],
        "returns": [_return(order, one) for one in order.returns],
    }
    others: dict[str, Any] = {
        field: getattr(order, field) for field in OrderView.__struct_fields__ if field not in facts
    }
    return OrderView(**others, **facts)


def _shipment(order: Order, shipment: Shipment) -> ShipmentView:
    fulfilled = last_change_to(order, OrderStatus.FULFILLED)
    return ShipmentView(
        shipment_id=shipment.shipment_id,
        lines=_lines(order, pieces_of(order, shipment)),
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        tracking_url=shipment.tracking_url,
        # A parcel that was shipped at once has the time of the move.
        shipped_at=shipment.shipped_at or (fulfilled.at if fulfilled else None),
        delivered_at=shipment.delivered_at,
    )


def _return(order: Order, back: Return) -> ReturnView:
    return ReturnView(
        return_id=back.return_id,
        status=back.status,
        lines=[
            ReturnedLine(line.product_id, quantity, restock=bool(restocked))
            for line, quantity, restocked in zip(order.items, back.quantities, back.restocked, strict=True)
            if quantity
        ],
        at=back.at,
        reason=back.reason,
    )


def _lines(order: Order, quantities: Sequence[int]) -> list[ReportedLine]:
    return [
        ReportedLine(product_id, quantity) for product_id, quantity in by_product(order, quantities).items()
    ]
