"""The order events, for other systems.

Each event is sent at least once, in no guaranteed order. A repeat has the same `eventId`. The contract is
`docs/events.md`; `python -m tools.events` makes its schemas from the table and types here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NamedTuple, Self

import msgspec

from functions.shared.domain.errors import DependencyUnavailable, RejectionCode
from functions.shared.domain.ids import Identifier, event_id_for
from functions.shared.domain.moves import StatusChange, change_of
from functions.shared.domain.orders import Order, OrderStatus, ReturnStatus
from functions.shared.domain.shipping import by_product, pieces_of
from functions.shared.environment import optional, required

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
_ProductId = Annotated[Identifier, msgspec.Meta(examples=["7b1e8a34-5c5e-4b0f-8f0a-6e1c9b7d2a11"])]
_Reference = Annotated[
    str, msgspec.Meta(description="the client's own number of the order", examples=["WEB-7341"])
]
_Text = Annotated[str, msgspec.Meta(description="text for people", examples=["DHL"])]
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
    reference: _Reference | None
    occurred_at: _Time


class OrderEvent(OrderFact, frozen=True, rename="camel", omit_defaults=False):
    """The detail of a move's event: one change of one order's status."""

    status: OrderStatus
    previous_status: OrderStatus | None
    reason: _Reason | None
    rejection_code: RejectionCode | None


class EventLine(msgspec.Struct, frozen=True, rename="camel"):
    """Pieces of one product of an order."""

    product_id: _ProductId
    quantity: Annotated[int, msgspec.Meta(ge=1, examples=[2])]


class ShipmentEvent(OrderFact, frozen=True, rename="camel", omit_defaults=False):
    """The detail of an event: a parcel left."""

    shipment_id: Annotated[str, msgspec.Meta(examples=["P-1"])]
    lines: list[EventLine]
    carrier: _Text | None
    tracking_number: _Text | None
    tracking_url: _Text | None


class ReturnEvent(OrderFact, frozen=True, rename="camel", omit_defaults=False):
    """The detail of an event: items came back."""

    return_id: Annotated[str, msgspec.Meta(examples=["R-1"])]
    lines: list[EventLine]
    reason: _Text | None


class EventType(NamedTuple):
    """An event: its `detail-type`, what happened (for people), and the type of its detail.

    `status` is that of a move, or None: then `fact` is the kind of the fact (`Order.unsent`). With
    `has_reason`, every event of the type has a reason.
    """

    name: str
    meaning: str
    status: OrderStatus | None = None
    has_reason: bool = False
    detail: type[OrderFact] = OrderEvent
    fact: str | None = None


class Event(NamedTuple):
    """An event: its `detail-type` and its detail."""

    name: str
    detail: OrderFact


CANCELLATION_REQUESTED = "OrderCancellationRequested"
"""The event after which a rule on the bus invokes the requeue (`components/fulfillment.py`)."""

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
    EventType("OrderDelivered", "all its parcels are delivered", OrderStatus.DELIVERED),
    EventType("OrderShipped", "a parcel left", detail=ShipmentEvent, fact="shipment"),
    EventType("OrderReturned", "items came back", detail=ReturnEvent, fact="return"),
    EventType(
        CANCELLATION_REQUESTED,
        "a client asked to cancel an order that the fulfillment system has",
        detail=OrderFact,
        fact="cancellation",
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
_FACT_NAMES = {kind.fact: kind.name for kind in EVENT_TYPES if kind.fact}
# The most events that PutEvents takes in one request.
_MOST = 10


class EventBus:
    """The stack's EventBridge bus."""

    def __init__(self, client: Callable[[], Any], bus_name: str, *, announces_placed: bool = False) -> None:
        """`client` makes the EventBridge client at the first event: not every invocation sends one.

        With `announces_placed`, the first publication of an order's moves includes its placement.
        """
        self._client = client
        self._bus_name = bus_name
        self._announces_placed = announces_placed

    @classmethod
    def of_stack(cls, client: Callable[[], Any]) -> Self:
        """Returns the bus that the function's environment names. `client` is as in `__init__`."""
        announces_placed = optional("ORDER_PLACED_EVENT") == "true"
        return cls(client, required("EVENT_BUS_NAME"), announces_placed=announces_placed)

    def announce(self, order: Order, changes: Iterable[StatusChange]) -> None:
        """Sends the events of changes, and those that reports on the order still owe (`Order.unsent`).

        Changes without an event are skipped. Raises `DependencyUnavailable` or botocore's errors. Some events
        may be sent then.
        """
        owed = [fact.split("/", 1) for fact in order.unsent]
        numbers = {int(name[0]) for kind, *name in owed if kind == "status"}
        moves = {
            change.number: change for change in (*changes, *(change_of(order, n) for n in sorted(numbers)))
        }
        facts = [fact for fact in owed if fact[0] != "status"]
        self.send([*self._of_moves(order, moves.values()), *(_of_fact(order, *fact) for fact in facts)])

    def past_events(self, order: Order) -> list[Event]:
        """Returns the events of all that happened to an order, with the ids of their first publication.

        The content is the same too, except that a parcel has what later reports added to it. The placement
        is included if the stack publishes it now.
        """
        moves = [change_of(order, number) for number in range(len(order.history))]
        # A parcel without quantities came with the move to FULFILLED, which is its event.
        facts = [("shipment", one.id) for one in order.shipments if one.quantities is not None]
        facts += [("return", one.id) for one in order.returns if one.status is ReturnStatus.RECEIVED]
        events = [*self._of_moves(order, moves), *(_of_fact(order, *fact) for fact in facts)]
        if order.cancel_requested_at is not None:
            events.append(_of_fact(order, "cancellation"))
        return events

    def send(self, events: Sequence[Event]) -> None:
        """Sends events. Raises `DependencyUnavailable` or botocore's errors. Some may be sent then."""
        for start in range(0, len(events), _MOST):
            entries = [
                {
                    "EventBusName": self._bus_name,
                    "Source": SOURCE,
                    "DetailType": event.name,
                    "Detail": msgspec.json.encode(event.detail).decode(),
                }
                for event in events[start : start + _MOST]
            ]
            answer = self._client().put_events(Entries=entries)
            # PutEvents returns 200 also if it accepted no event.
            if answer["FailedEntryCount"]:
                codes = sorted({entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry})
                raise DependencyUnavailable(f"the event bus did not take the event: {', '.join(codes)}")

    def _of_moves(self, order: Order, changes: Iterable[StatusChange]) -> list[Event]:
        return [_of_move(order, change) for change in changes if self._has_event(change)]

    def _has_event(self, change: StatusChange) -> bool:
        if change.status is OrderStatus.PENDING:  # placed, or retried by an operator
            return change.previous is None and self._announces_placed
        return change.status in _NAMES


def _of_move(order: Order, change: StatusChange) -> Event:
    is_rejection = change.status is OrderStatus.REJECTED
    detail = OrderEvent(
        **_common(order, change.number, change.at),
        status=change.status,
        previous_status=change.previous,
        reason=change.reason,
        rejection_code=RejectionCode.of(change.reason) if is_rejection else None,
    )
    return Event(_NAMES[change.status], detail)


def _of_fact(order: Order, kind: str, fact_id: str = "") -> Event:
    return Event(_FACT_NAMES[kind], _detail_of(order, kind, fact_id))


def _detail_of(order: Order, kind: str, fact_id: str) -> OrderFact:
    """Returns the detail of a fact about an order that is no move."""
    fact = f"{kind}/{fact_id}" if fact_id else kind
    if kind == "shipment":
        shipment = next(one for one in order.shipments if one.shipment_id == fact_id)
        return ShipmentEvent(
            **_common(order, fact, shipment.shipped_at or order.updated_at),
            shipment_id=fact_id,
            lines=_lines(order, pieces_of(order, shipment)),
            carrier=shipment.carrier,
            tracking_number=shipment.tracking_number,
            tracking_url=shipment.tracking_url,
        )
    if kind == "return":
        back = next(one for one in order.returns if one.return_id == fact_id)
        return ReturnEvent(
            **_common(order, fact, back.at),
            return_id=fact_id,
            lines=_lines(order, back.quantities),
            reason=back.reason,
        )
    return OrderFact(**_common(order, fact, order.cancel_requested_at or order.updated_at))


def _common(order: Order, fact: int | str, at: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "event_id": event_id_for(order.order_id, fact),
        "order_id": order.order_id,
        "user_id": order.user_id,
        "reference": order.reference,
        "occurred_at": at,
    }


def _lines(order: Order, quantities: Sequence[int]) -> list[EventLine]:
    return [EventLine(product, pieces) for product, pieces in by_product(order, quantities).items()]
