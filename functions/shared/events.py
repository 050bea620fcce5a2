"""The order events, for other systems.

Each event is sent at least once, in no guaranteed order. A repeat has the same `eventId`. The contract is
`docs/events.md`; `python -m tools.events` makes its schemas from the table and types here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

import msgspec

from functions.shared.domain.errors import DependencyUnavailable, RejectionCode
from functions.shared.domain.ids import Identifier, event_id_for
from functions.shared.domain.moves import StatusChange
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.environment import optional

SOURCE = "orderflow.orders"
VERSION = 1

_EventId = Annotated[
    str,
    msgspec.Meta(
        description="the same in every repeat of this event; no other event has it",
        examples=["0b0f1b52-6a53-5d0e-9f0c-4a1f4f2a9c11"],
        extra_json_schema={"format": "uuid"},
    ),
]
_Time = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        description="UTC, ISO 8601, with milliseconds",
        examples=["2026-01-31T08:00:00.000Z"],
    ),
]
_OrderId = Annotated[Identifier, msgspec.Meta(examples=["493493d2-2138-5501-ac7f-7eb46b6219df"])]
_UserId = Annotated[Identifier, msgspec.Meta(examples=["0d2f7f5c-3f0e-4a57-9d5e-2f4a5f1f2b60"])]
_Reason = Annotated[
    str,
    msgspec.Meta(
        description="text for people; that of a rejection begins with its code and a colon",
        examples=["insufficient_stock: 2 of product p-1 ordered, 1 in stock"],
    ),
]


class OrderFact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """What every event's detail has. The events of facts that are no move extend it."""

    version: int
    event_id: _EventId
    order_id: _OrderId
    user_id: _UserId
    occurred_at: _Time


class OrderEvent(OrderFact, frozen=True, rename="camel", omit_defaults=False):
    """The detail of a move's event: one change of one order's status."""

    status: OrderStatus
    previous_status: OrderStatus | None
    reason: _Reason | None
    rejection_code: RejectionCode | None


class EventType(NamedTuple):
    """An event: its `detail-type`, what happened (for people), and the type of its detail.

    `status` is that of a move, or None. With `has_reason`, every event of the type has a reason.
    """

    name: str
    meaning: str
    status: OrderStatus | None = None
    has_reason: bool = False
    detail: type[OrderFact] = OrderEvent


# One entry per event. `docs/events.md`, the schemas and the AsyncAPI document list the same.
EVENT_TYPES = (
    EventType(
        "OrderPlaced", "a client placed the order; off by default: `orderPlacedEvent`", OrderStatus.PENDING
    ),
    EventType("OrderValidated", "user and products exist; the prices are frozen", OrderStatus.VALIDATED),
    EventType("OrderFulfilled", "the order has a shipment", OrderStatus.FULFILLED),
    EventType(
        "OrderRejected",
        "the order can never be fulfilled; `rejectionCode` is why",
        OrderStatus.REJECTED,
        True,
    ),
    EventType("OrderCancelled", "a client or an operator cancelled it", OrderStatus.CANCELLED),
    EventType(
        "OrderFailed",
        "the fulfillment system refused it, or its attempts are used up; an operator may retry it",
        OrderStatus.FAILED,
        True,
    ),
)

_NAMES = {kind.status: kind.name for kind in EVENT_TYPES if kind.status}


def announces_placed_orders() -> bool:
    """Returns whether the stack publishes `OrderPlaced`."""
    return optional("ORDER_PLACED_EVENT") == "true"


class EventBus:
    """The stack's EventBridge bus."""

    def __init__(self, client: Callable[[], Any], bus_name: str, *, announces_placed: bool = False) -> None:
        """`client` makes the EventBridge client at the first event: not every invocation sends one.

        With `announces_placed`, the first publication of an order's moves includes its placement.
        """
        self._client = client
        self._bus_name = bus_name
        self._announces_placed = announces_placed

    def announce(self, order: Order, changes: Iterable[StatusChange]) -> None:
        """Sends the events of up to ten changes. Changes without an event are skipped.

        Raises `DependencyUnavailable` or botocore's errors. Some events may be sent then.
        """
        entries = [self._entry(order, change) for change in changes if self._has_event(change)]
        if not entries:
            return
        answer = self._client().put_events(Entries=entries)
        # PutEvents returns 200 also if it accepted no event.
        if answer["FailedEntryCount"]:
            codes = sorted({entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry})
            raise DependencyUnavailable(f"the event bus did not take the event: {', '.join(codes)}")

    def _has_event(self, change: StatusChange) -> bool:
        if change.status is OrderStatus.PENDING:  # placed, or retried by an operator
            return change.previous is None and self._announces_placed
        return change.status in _NAMES

    def _entry(self, order: Order, change: StatusChange) -> dict[str, str]:
        is_rejection = change.status is OrderStatus.REJECTED
        event = OrderEvent(
            version=VERSION,
            event_id=event_id_for(order.order_id, change.number),
            order_id=order.order_id,
            user_id=order.user_id,
            occurred_at=change.at,
            status=change.status,
            previous_status=change.previous,
            reason=change.reason,
            rejection_code=RejectionCode.of(change.reason) if is_rejection else None,
        )
        return {
            "EventBusName": self._bus_name,
            "Source": SOURCE,
            "DetailType": _NAMES[change.status],
            "Detail": msgspec.json.encode(event).decode(),
        }
