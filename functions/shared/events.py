"""The order events, for other systems.

Each event is sent at least once, in no guaranteed order. A repeat has the same `eventId`. The contract is
`docs/events.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.domain.ids import event_id_for
from functions.shared.domain.moves import StatusChange
from functions.shared.domain.orders import Order, OrderStatus

SOURCE = "orderflow.orders"
VERSION = 1

DETAIL_TYPES = {
    OrderStatus.VALIDATED: "OrderValidated",
    OrderStatus.FULFILLED: "OrderFulfilled",
    OrderStatus.REJECTED: "OrderRejected",
    OrderStatus.CANCELLED: "OrderCancelled",
    OrderStatus.FAILED: "OrderFailed",
}


class OrderEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=False):
    """The detail of an event: one change of one order's status."""

    version: int
    event_id: str
    order_id: str
    user_id: str
    status: OrderStatus
    previous_status: OrderStatus | None
    occurred_at: str
    reason: str | None


class EventBus:
    """The stack's EventBridge bus."""

    def __init__(self, client: Callable[[], Any], bus_name: str) -> None:
        """`client` makes the EventBridge client at the first event: not every invocation sends one."""
        self._client = client
        self._bus_name = bus_name

    def announce(self, order: Order, changes: Iterable[StatusChange]) -> None:
        """Sends the events of up to ten changes.

        Raises `DependencyUnavailable` or botocore's errors. Some events may be sent then.
        """
        answer = self._client().put_events(Entries=[self._entry(order, change) for change in changes])
        # PutEvents returns 200 also if it accepted no event.
        if answer["FailedEntryCount"]:
            codes = sorted({entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry})
            raise DependencyUnavailable(f"the event bus did not take the event: {', '.join(codes)}")

    def _entry(self, order: Order, change: StatusChange) -> dict[str, str]:
        event = OrderEvent(
            version=VERSION,
            event_id=event_id_for(order.order_id, change.number),
            order_id=order.order_id,
            user_id=order.user_id,
            status=change.status,
            previous_status=change.previous,
            occurred_at=change.at,
            reason=change.reason,
        )
        return {
            "EventBusName": self._bus_name,
            "Source": SOURCE,
            "DetailType": DETAIL_TYPES[change.status],
            "Detail": msgspec.json.encode(event).decode(),
        }
