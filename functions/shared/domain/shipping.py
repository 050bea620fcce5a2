"""What leaves and what comes back: the parcels, refusals and returns of an order, and its cancellation.

Each is a fact under an id of the one who reports it. A repeated, late or early report ends in the same order:
`record_...` return the order with the fact, and how the stock changes. They raise an error for a report
that contradicts the order, and then nothing changes.

A line of an order is held until it is shipped, refused or released. For every product, at any time, what was
put in = in stock + held + shipped - returned to stock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from functions.shared.domain.errors import InvalidInput, NotHandedOver, ReportRefused, TooLateToCancel
from functions.shared.domain.ids import Identifier
from functions.shared.domain.moves import recent_changes
from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import (
    MAX_LINES,
    MAX_QUANTITY,
    HistoryEntry,
    Order,
    OrderStatus,
    Refusal,
    Reservation,
    ReservationState,
    Return,
    ReturnStatus,
    Shipment,
)
from functions.shared.domain.texts import Line, ShortLine

MAX_REPORTS = 50
"""The most parcels, the most refusals, and the most returns of one order."""
MAX_ORDER_BYTES = 90_000
"""The most bytes of an order as JSON. Its item is smaller than 100 KB then."""

_Quantity = Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]
_Url = Annotated[
    str,
    msgspec.Meta(
        max_length=500,
        pattern=r"^https://[^\x00-\x20\x7f/?#]+[^\x00-\x20\x7f]*(?!\n)$",
        description="an https URL",
    ),
]
_Time = Annotated[datetime, msgspec.Meta(tz=True, description="a time such as 2026-01-31T08:00:00Z")]


class ReportedLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Pieces of one product of an order."""

    product_id: Identifier
    quantity: _Quantity


class ReturnedLine(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Pieces of one product that come back. With `restock` they can be sold again."""

    product_id: Identifier
    quantity: _Quantity
    restock: bool = False


_Lines = Annotated[list[ReportedLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]


class ShipmentReport(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """A parcel, as the fulfillment system reports it. Later reports may add to it."""

    lines: _Lines
    shipped_at: _Time
    carrier: ShortLine | None = None
    tracking_number: ShortLine | None = None
    tracking_url: _Url | None = None
    delivered_at: _Time | None = None


class RefusalReport(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Lines that the fulfillment system will not ship."""

    lines: _Lines
    reason: Line


class ReturnReport(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Items that come back: announced (REQUESTED), or there (RECEIVED)."""

    status: ReturnStatus
    lines: Annotated[list[ReturnedLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    reason: Line | None = None


class Word(NamedTuple):
    """What the fulfillment system says of an order when it is asked: its parcels and refusals so far.

    `whole` is the id of one parcel with everything that is not shipped yet.
    """

    whole: str | None = None
    shipments: Sequence[tuple[str, ShipmentReport]] = ()
    refusals: Sequence[tuple[str, RefusalReport]] = ()


class Recorded(NamedTuple):
    """An order after a report, how it changes the stock (pieces by product), and whether it was new.

    A repeat returns the order as it is. `is_unexpected`: the order was given up before this parcel left.
    `contradictions` are the reports of a `Word` that contradict the order, in words. The store sets
    `is_changed`, and `moves`: the statuses that the order got, oldest first.
    """

    order: Order
    stock: Mapping[str, int] = {}
    is_new: bool = False
    is_unexpected: bool = False
    contradictions: tuple[str, ...] = ()
    is_changed: bool = False
    moves: tuple[OrderStatus, ...] = ()


# --- quantities, one number per line of the order ---------------------------------------------------------


def shipped(order: Order) -> list[int]:
    """Returns how many pieces of each line left."""
    return _sum(order, [pieces_of(order, shipment) for shipment in order.shipments])


def refused(order: Order) -> list[int]:
    """Returns how many pieces of each line will not be shipped under the present reservation."""
    attempt = _attempt_of_hold(order)
    return _sum(order, [one.quantities for one in order.refusals if attempt and one.attempt == attempt])


def held(order: Order) -> list[int]:
    """Returns how many pieces of each line are reserved and not shipped."""
    if not order.holds_stock:
        return [0] * len(order.items)
    on_time = [shipment for shipment in order.shipments if not shipment.is_late]
    left = _sum(order, [pieces_of(order, shipment) for shipment in on_time])
    return [
        line.quantity - gone - back
        for line, gone, back in zip(order.items, left, refused(order), strict=True)
    ]


def returned(order: Order, *, only_restocked: bool = False) -> list[int]:
    """Returns how many pieces of each line come back, or came back to stock."""
    if only_restocked:
        received = [one for one in order.returns if one.status is ReturnStatus.RECEIVED]
        return _sum(order, [one.restocked for one in received])
    return _sum(order, [one.quantities for one in order.returns])


def pieces_of(order: Order, shipment: Shipment) -> list[int]:
    """Returns how many pieces of each line are in a parcel. One without quantities has the whole order."""
    if shipment.quantities is None:
        return [line.quantity for line in order.items]
    return shipment.quantities


def by_product(order: Order, quantities: Sequence[int], *, sign: int = 1) -> dict[str, int]:
    """Returns quantities per line as pieces by product, without zeros."""
    return {
        line.product_id: sign * pieces for line, pieces in zip(order.items, quantities, strict=True) if pieces
    }


# --- reports ----------------------------------------------------------------------------------------------


def record_shipment(order: Order, shipment_id: str, report: ShipmentReport, *, at: str) -> Recorded:
    """Returns the order with a parcel, or with what a later report adds to it.

    Raises `InvalidInput` (an unknown line, delivered before shipped), `NotHandedOver`, and `ReportRefused`:
    more than was ordered, another content than before, or less than was reported before.
    """
    _check_handed_over(order)
    if report.delivered_at is not None and report.delivered_at < report.shipped_at:
        raise InvalidInput("expected a time after shippedAt", "deliveredAt")
    shipment = Shipment(
        shipment_id=shipment_id,
        quantities=_by_line(order, report.lines),
        carrier=report.carrier,
        tracking_number=report.tracking_number,
        tracking_url=report.tracking_url,
        shipped_at=_write(report.shipped_at),
        delivered_at=_write(report.delivered_at),
    )
    present = _find(order.shipments, shipment_id)
    if present is not None:
        return _add_to_shipment(order, present, shipment, at)
    _check_count(order.shipments, "shipments")
    quantities = shipment.quantities or []
    _check_ordered(order, quantities)
    is_late = not order.holds_stock
    if is_late:
        shipment = replace(shipment, is_late=True)
    changed = replace(order, shipments=[*order.shipments, shipment], updated_at=at)
    return Recorded(
        _owing(_progressed(changed, at), order, f"shipment/{shipment_id}"),
        by_product(order, quantities, sign=-1) if is_late else {},
        is_new=True,
        is_unexpected=is_late or order.status not in _SHIPPED_IN,
    )


def record_refusal(order: Order, refusal_id: str, report: RefusalReport, *, at: str) -> Recorded:
    """Returns the order with lines that will not be shipped. They go back to stock, once.

    After a release there is nothing to put back: the refusal is kept without an effect. Raises
    `InvalidInput`, `NotHandedOver`, and `ReportRefused`.
    """
    _check_handed_over(order)
    attempt = _attempt_of_hold(order)
    refusal = Refusal(
        refusal_id=refusal_id,
        quantities=_by_line(order, report.lines),
        reason=report.reason,
        attempt=attempt,
    )
    present = _find(order.refusals, refusal_id)
    if present is not None and (present.attempt == attempt or not attempt):
        if present.quantities != refusal.quantities:
            raise ReportRefused(f"refusal {refusal_id} was reported with other lines before")
        return Recorded(order)
    others = [one for one in order.refusals if one.refusal_id != refusal_id]
    _check_count(others, "refusals")
    if attempt:
        _check_ordered(order, refusal.quantities)
    changed = replace(order, refusals=[*others, refusal], updated_at=at)
    return Recorded(
        _owing(_progressed(changed, at, reason=report.reason), order),
        by_product(order, refusal.quantities) if attempt else {},
        is_new=True,
    )


def record_word(order: Order, word: Word, *, at: str) -> Recorded:
    """Returns the order with everything that the fulfillment system says of it.

    A report that contradicts the order is left out, and named. Raises `NotHandedOver`.
    """
    _check_handed_over(order)
    now = Recorded(order)
    for shipment_id, shipment in word.shipments:
        now = _and_then(now, partial(record_shipment, shipment_id=shipment_id, report=shipment, at=at))
    for refusal_id, refusal in word.refusals:
        now = _and_then(now, partial(record_refusal, refusal_id=refusal_id, report=refusal, at=at))
    if word.whole is not None and any(held(now.order)) and _find(now.order.shipments, word.whole) is None:
        rest = Shipment(shipment_id=word.whole, quantities=held(now.order), shipped_at=at)
        changed = replace(now.order, shipments=[*now.order.shipments, rest], updated_at=at)
        owing = _owing(_progressed(changed, at), now.order, f"shipment/{word.whole}")
        now = now._replace(order=owing, is_new=True)
    return now


def _and_then(before: Recorded, record: Callable[[Order], Recorded]) -> Recorded:
    try:
        after = record(before.order)
    except (ReportRefused, InvalidInput) as error:
        return before._replace(contradictions=(*before.contradictions, str(error)))
    return _joined(before, after)


def _joined(before: Recorded, after: Recorded) -> Recorded:
    stock = dict(before.stock)
    for product, pieces in after.stock.items():
        stock[product] = stock.get(product, 0) + pieces
    return Recorded(
        after.order,
        {product: pieces for product, pieces in stock.items() if pieces},
        is_new=before.is_new or after.is_new,
        is_unexpected=before.is_unexpected or after.is_unexpected,
        contradictions=before.contradictions,
    )


def record_return(order: Order, return_id: str, report: ReturnReport, *, at: str) -> Recorded:
    """Returns the order with items that come back. What arrived and can be sold goes back to stock, once.

    An announced return may change until it is received. Raises `InvalidInput` for an unknown line, and
    `ReportRefused`: more than was shipped, or a change of what was received.
    """
    back = Return(
        return_id=return_id,
        status=report.status,
        quantities=_by_line(order, report.lines),
        restocked=_by_line(order, [line for line in report.lines if line.restock]),
        reason=report.reason,
        at=at,
    )
    present = _find(order.returns, return_id)
    if present is not None and replace(present, at=at) == back:
        return Recorded(order)
    if present is not None and present.status is ReturnStatus.RECEIVED:
        raise ReportRefused(f"return {return_id} was received already, with other content")
    others = [one for one in order.returns if one.return_id != return_id]
    _check_count(others, "returns")
    others_back = _sum(order, [one.quantities for one in others])
    _check_at_most(order, others_back, back.quantities, shipped(order), "was shipped")
    changed = replace(order, returns=[*others, back], updated_at=at)
    is_received = report.status is ReturnStatus.RECEIVED
    return Recorded(
        _owing(changed, order, *([f"return/{return_id}"] if is_received else [])),
        by_product(order, back.restocked) if is_received else {},
        is_new=present is None,
    )


# --- cancellation by agreement ----------------------------------------------------------------------------


def ask_to_cancel(order: Order, *, at: str) -> Recorded:
    """Returns an order in fulfillment whose cancellation is asked for: the fulfillment system decides.

    Raises `TooLateToCancel` when it has declined, or nothing can be asked.
    """
    if order.status is not OrderStatus.IN_FULFILLMENT:
        raise TooLateToCancel(f"the order is {order.status.value} already")
    if order.cancel_refused_at is not None:
        raise TooLateToCancel("the fulfillment system declined: it ships the order")
    if order.cancel_requested_at is not None:
        return Recorded(order)
    changed = replace(order, cancel_requested_at=at, updated_at=at)
    return Recorded(_owing(changed, order, "cancellation"), is_new=True)


def record_cancellation(order: Order, *, agreed: bool, at: str, word: Word | None = None) -> Recorded:
    """Returns the order after the fulfillment system's answer to `ask_to_cancel`.

    If it agreed, nothing more is shipped. First `word` is recorded, which it said after that. Then what is
    still held goes back to stock. An order that moved on in the meantime does not change.
    """
    if not order.waits_for_cancellation:
        return Recorded(order)
    if not agreed:
        return Recorded(replace(order, cancel_refused_at=at, updated_at=at), is_new=True)
    known = record_word(order, word or Word(), at=at)
    if not known.order.waits_for_cancellation:  # all lines are shipped or refused
        return known
    return _joined(known, _cancel_rest(known.order, at))


def _cancel_rest(order: Order, at: str) -> Recorded:
    left = held(order)
    order = replace(order, updated_at=at)
    if any(shipped(order)):
        rest = Refusal(
            refusal_id="cancelled",
            quantities=left,
            reason="cancelled",
            attempt=_attempt_of_hold(order),
        )
        changed = _progressed(replace(order, refusals=[*order.refusals, rest]), at)
    else:
        changed = _moved(_released(order), OrderStatus.CANCELLED, at)
    return Recorded(_owing(changed, order), by_product(order, left), is_new=True)


# --- what follows from a report ---------------------------------------------------------------------------

# In later statuses everything was shipped or refused, or the order was given up.
_SHIPPED_IN = (OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT)


def _progressed(order: Order, at: str, *, reason: str | None = None) -> Order:
    """Returns the order in the status that its parcels and refusals mean.

    An order that was given up keeps its own. So does one in a new attempt that holds nothing yet: the report
    is of an earlier attempt.
    """
    if order.holds_stock and order.status in _SHIPPED_IN:
        if any(held(order)):
            if order.status is OrderStatus.VALIDATED:
                order = _moved(order, OrderStatus.IN_FULFILLMENT, at)
        elif any(shipped(order)):
            order = _moved(order, OrderStatus.FULFILLED, at)
        else:
            order = _moved(_released(order), OrderStatus.FAILED, at, f"refused: {reason}")
    all_delivered = all(shipment.delivered_at for shipment in order.shipments)
    if order.status is OrderStatus.FULFILLED and order.shipments and all_delivered:
        order = _moved(order, OrderStatus.DELIVERED, at)
    return order


def _moved(order: Order, to: OrderStatus, at: str, reason: str | None = None) -> Order:
    entry = HistoryEntry(status=to, at=at, reason=reason)
    return replace(order, status=to, history=[*order.history, entry], status_reason=reason)


def _released(order: Order) -> Order:
    released = Reservation(ReservationState.RELEASED, order.attempt, handed_over_to=order.handed_over_to)
    return replace(order, reservation=released)


def _attempt_of_hold(order: Order) -> int:
    """Returns the attempt that reserved what the order holds, or 0."""
    return order.reservation.attempt if order.holds_stock and order.reservation else 0


def _owing(order: Order, before: Order, *facts: str) -> Order:
    """Returns the order with the events that its new moves and these facts owe.

    An order that is final and in the open index still owes those of its earlier moves. The report must list
    them too: once the listed events are sent, the order leaves the index.
    """
    numbers = list(range(len(before.history), len(order.history)))
    if owed(before) is Obligation.EVENT and not before.unsent:
        numbers = [change.number for change in recent_changes(order)]
    moves = [f"status/{number}" for number in numbers]
    unsent = [*order.unsent, *facts, *moves]
    changed = replace(order, unsent=unsent)
    size = len(msgspec.json.encode(changed))
    if size > MAX_ORDER_BYTES:
        raise ReportRefused(f"the order would have {size} bytes, and may have {MAX_ORDER_BYTES}")
    return changed


def _add_to_shipment(order: Order, present: Shipment, report: Shipment, at: str) -> Recorded:
    """Returns the order with what a later report adds to a parcel."""
    name = f"shipment {present.shipment_id}"
    if pieces_of(order, present) != report.quantities:
        raise ReportRefused(f"{name} was reported with other lines before")
    if present.shipped_at not in (None, report.shipped_at):
        raise ReportRefused(f"{name} was shipped at {present.shipped_at}")
    if present.delivered_at not in (None, report.delivered_at):
        raise ReportRefused(f"{name} was delivered at {present.delivered_at}")
    for field in ("carrier", "tracking_number", "tracking_url"):
        if getattr(present, field) is not None and getattr(report, field) is None:
            raise ReportRefused(f"{name} was reported with its {field.replace('_', ' ')} before")
    now = replace(report, quantities=present.quantities, is_late=present.is_late)
    if now == present:
        return Recorded(order)
    shipments = [now if one is present else one for one in order.shipments]
    changed = _progressed(replace(order, shipments=shipments, updated_at=at), at)
    return Recorded(_owing(changed, order))


# --- checks -----------------------------------------------------------------------------------------------

_Fact = TypeVar("_Fact", Shipment, Refusal, Return)


def _find(facts: Sequence[_Fact], fact_id: str) -> _Fact | None:
    return next((fact for fact in facts if fact.id == fact_id), None)


def _check_handed_over(order: Order) -> None:
    if order.reservation is None or order.reservation.handed_over_to is None:
        raise NotHandedOver(f"the order is {order.status.value}, and no fulfillment system has it")


def _check_count(facts: Sequence[object], noun: str) -> None:
    if len(facts) >= MAX_REPORTS:
        raise ReportRefused(f"an order has at most {MAX_REPORTS} {noun}")


def _check_ordered(order: Order, more: Sequence[int]) -> None:
    """Raises `ReportRefused` if these pieces, with those shipped and refused, are more than was ordered."""
    taken = [gone + back for gone, back in zip(shipped(order), refused(order), strict=True)]
    _check_at_most(order, taken, more, [line.quantity for line in order.items], "was ordered")


def _check_at_most(
    order: Order, taken: Sequence[int], more: Sequence[int], limits: Sequence[int], what: str
) -> None:
    for line, before, pieces, limit in zip(order.items, taken, more, limits, strict=True):
        if pieces and before + pieces > limit:
            raise ReportRefused(
                f"{before + pieces} of product {line.product_id} are more than {what}: {limit}"
            )


def _by_line(order: Order, lines: Sequence[ReportedLine | ReturnedLine]) -> list[int]:
    """Returns the quantities of a report, one per line of the order. Raises `InvalidInput`."""
    numbers = {line.product_id: number for number, line in enumerate(order.items)}
    quantities = [0] * len(order.items)
    for index, line in enumerate(lines):
        number = numbers.get(line.product_id)
        if number is None:
            raise InvalidInput("expected a product of this order", f"lines[{index}].productId")
        if quantities[number]:
            raise InvalidInput("one line per product", f"lines[{index}].productId")
        quantities[number] = line.quantity
    return quantities


def _sum(order: Order, parts: Sequence[Sequence[int]]) -> list[int]:
    return [sum(part[number] for part in parts) for number in range(len(order.items))]


def _write(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
