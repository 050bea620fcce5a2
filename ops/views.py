"""Orders and dead letters as tables for a terminal and as data for JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table

from functions.shared import clock
from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import Order, OrderStatus, Return, Shipment
from functions.shared.domain.shipping import held, pieces_of, refused, returned, shipped
from local.terminal import plain, visible_lines
from ops.dead_letters import DeadLetter
from ops.executions import Execution
from ops.orders import OrderDetails, Outcome
from ops.overview import Overview, StatusCount
from ops.reconciliation import Reconciliation

_COLORS = {
    OrderStatus.FULFILLED: "green",
    OrderStatus.DELIVERED: "green",
    OrderStatus.REJECTED: "yellow",
    OrderStatus.CANCELLED: "yellow",
    OrderStatus.FAILED: "red",
}
_BODY_LENGTH = 30  # characters


def as_json(value: object) -> str:
    """Return a value as JSON. Control characters are escaped."""
    return visible_lines(json.dumps(value, indent=2, ensure_ascii=False))


def details_as_data(details: OrderDetails) -> dict[str, Any]:
    """Return the stored order, with its execution under `execution` and its lines under `balance`."""
    return {
        **msgspec.to_builtins(details.order),
        "execution": msgspec.to_builtins(details.execution),
        "balance": balance(details.order),
    }


def balance(order: Order) -> list[dict[str, Any]]:
    """Return where the pieces of each line of an order are.

    `refused` has those that will not be shipped. `returned` includes returns that are only announced.
    """
    quantities = zip(held(order), shipped(order), refused(order), returned(order), strict=True)
    return [
        {
            "productId": line.product_id,
            "ordered": line.quantity,
            "held": reserved,
            "shipped": left,
            "refused": declined,
            "returned": back,
        }
        for line, (reserved, left, declined, back) in zip(order.items, quantities, strict=True)
    ]


def outcome_as_data(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome of an action, with the order after it."""
    return {
        "changed": outcome.changed,
        "message": outcome.sentence,
        "order": msgspec.to_builtins(outcome.order),
    }


def order_view(details: OrderDetails) -> RenderableType:
    """Return an order's attributes and execution, its balance, parcels and returns, and its history."""
    order = details.order
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_row("Order", order.order_id)
    facts.add_row("Status", _status(order.status))
    if order.status_reason:
        facts.add_row("Reason", plain(order.status_reason))
    facts.add_row("User", order.user_id)
    for number, line in enumerate(order.items):
        facts.add_row(
            "Items" if number == 0 else "", plain(_line(line.quantity, line.title, line.product_id))
        )
    if order.total is not None:
        facts.add_row("Total", f"{order.total} {order.currency} (in minor units)")
    facts.add_row("Attempt", str(order.attempt))
    facts.add_row("Reservation", _reservation(order))
    for name, text in _fulfillment(order):
        facts.add_row(name, plain(text))
    if order.due_at is not None:
        note = "; its event is not published yet" if owed(order) is Obligation.EVENT else ""
        facts.add_row("Due", f"{order.due_at}{note}")
    for number, text in enumerate(_execution(details.execution)):
        facts.add_row("Execution" if number == 0 else "", plain(text))
    parts: list[RenderableType] = [facts]
    if order.reservation is not None:
        parts.append(_balance(order))
    if order.shipments:
        parts.append(_parcels(order))
    if order.returns:
        parts.append(_returns(order))
    return Group(*parts, _history(order))


def _fulfillment(order: Order) -> Iterable[tuple[str, str]]:
    """Yield who has an order, and what the fulfillment system said of it beside its parcels."""
    if order.handed_over_to is not None:
        yield "Handed to", order.handed_over_to
    yield "Shipments", str(len(order.shipments)) if order.shipments else "none"
    for refusal in order.refusals:
        yield "Refusal", f"{refusal.refusal_id}: {_pieces(order, refusal.quantities)}; {refusal.reason}"
    if order.cancel_requested_at is not None:
        answer = f"; declined {order.cancel_refused_at}" if order.cancel_refused_at else ""
        yield "Cancellation", f"requested {order.cancel_requested_at}{answer}"


def _balance(order: Order) -> Table:
    names = ("ordered", "held", "shipped", "refused", "returned")
    table = Table("balance", box=SIMPLE, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for line, row in zip(order.items, balance(order), strict=True):
        table.add_row(plain(line.title or line.product_id), *(str(row[name]) for name in names))
    return table


def _parcels(order: Order) -> Table:
    table = Table(
        "parcel", "pieces", "carrier", "tracking", "shipped", "delivered", box=SIMPLE, pad_edge=False
    )
    for column in table.columns:
        column.overflow = "fold"
    for shipment in order.shipments:
        late = "; the order was given up before" if shipment.is_late else ""
        table.add_row(
            plain(shipment.shipment_id),
            plain(_pieces(order, pieces_of(order, shipment)) + late),
            plain(shipment.carrier or ""),
            plain(_tracking(shipment)),
            shipment.shipped_at or "",
            shipment.delivered_at or "",
        )
    return table


def _tracking(shipment: Shipment) -> str:
    return " ".join(filter(None, (shipment.tracking_number, shipment.tracking_url)))


def _returns(order: Order) -> Table:
    table = Table("return", "status", "pieces", "back in stock", "at", "why", box=SIMPLE, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for back in order.returns:
        table.add_row(
            plain(back.return_id),
            back.status.value,
            plain(_pieces(order, back.quantities)),
            plain(_restocked(order, back)),
            back.at,
            plain(back.reason or ""),
        )
    return table


def _restocked(order: Order, back: Return) -> str:
    return _pieces(order, back.restocked) or "none"


def _pieces(order: Order, quantities: Sequence[int]) -> str:
    """`2 x Lamp, 1 x Rug`, from a number per line of the order."""
    return ", ".join(
        f"{pieces} x {line.title or line.product_id}"
        for line, pieces in zip(order.items, quantities, strict=True)
        if pieces
    )


def list_view(found: Sequence[Order]) -> RenderableType:
    """Return a table of orders, one per row."""
    table = Table("order", "placed", "status", "reference", "reason", box=SIMPLE, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for order in found:
        table.add_row(
            order.order_id,
            order.created_at,
            _status(order.status),
            plain(order.reference or ""),
            plain(order.status_reason or ""),
        )
    return table


def stalled_view(found: Sequence[OrderDetails], now: str) -> RenderableType:
    """Return a table of open orders, one per row."""
    table = Table("order", "status", "waits for", "reservation", "execution", box=SIMPLE, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for details in found:
        order = details.order
        table.add_row(
            order.order_id,
            _status(order.status),
            _ago(order.updated_at, now),
            _reservation(order),
            _wanted(details),
        )
    return table


def _wanted(details: OrderDetails) -> str:
    """Return what an order of the open index waits for."""
    match owed(details.order):
        case Obligation.ATTEMPT:
            return f"{details.execution.status}, attempt {details.order.attempt}"
        case Obligation.WORD:
            return "parcels not reported"
        case Obligation.CANCELLATION:
            return "cancellation not answered"
        case _:
            return "event not published"


def overdue_view(found: Sequence[Order], now: str) -> RenderableType:
    """Return a table of orders in fulfillment, one per row."""
    table = Table(
        "order",
        "silent for",
        "not shipped",
        "parcels",
        "asked again",
        "handed to",
        box=SIMPLE,
        pad_edge=False,
    )
    for column in table.columns[:5]:
        column.no_wrap = True
    table.columns[5].overflow = "fold"
    for order in found:
        table.add_row(
            order.order_id,
            _ago(order.updated_at, now),
            f"{sum(held(order))} of {sum(line.quantity for line in order.items)}",
            str(len(order.shipments)),
            order.due_at or "",
            plain(order.handed_over_to or ""),
        )
    return table


def overview_view(counts: Overview, now: str) -> RenderableType:
    """Return a table of counts: one row per status, queue and alarm that is raised."""
    table = Table("", "count", "oldest", box=SIMPLE, pad_edge=False)
    for count in counts.orders:
        table.add_row(
            f"orders {_status(count.status)}", _number(count), _ago(count.oldest, now) if count.oldest else ""
        )
    for count in counts.ended:
        table.add_row(f"orders {_status(count.status)}, placed in 24 h", _number(count), "")
    table.add_row("messages that wait", str(counts.waiting_messages), "")
    dead = str(counts.dead_letters)
    table.add_row("dead letters", f"[red]{dead}[/]" if counts.dead_letters else dead, "")
    if counts.delivery.is_paused:
        since = counts.delivery.since
        table.add_row(
            f"[red]orders queue paused[/]: {plain(counts.delivery.reason or 'no reason was given')}",
            "",
            _ago(since, now) if since else "",
        )
    if counts.alarms is None:
        table.add_row("alarms: unknown, because Pulumi did not name the state machine", "", "")
        return table
    for alarm in counts.alarms.raised:
        table.add_row(f"[red]alarm {plain(alarm.name)}[/]", "", _ago(alarm.since, now))
    raised, total = len(counts.alarms.raised), counts.alarms.total
    quiet = f"; {counts.alarms.without_data} have no data" if counts.alarms.without_data else ""
    table.add_row("alarms", f"{raised} of {total}{quiet}", "")
    return table


def _number(count: StatusCount) -> str:
    return f"{count.orders} or more" if count.more else str(count.orders)


def reconciliation_view(found: Reconciliation, now: str) -> RenderableType:
    """Return what was found: a table of orders, one of executions, and what was not compared."""
    parts: list[RenderableType] = []
    if found.orders:
        table = Table(
            "open order", "status", "unchanged for", "execution", "requeued at", box=SIMPLE, pad_edge=False
        )
        for details in found.orders:
            order = details.order
            table.add_row(
                order.order_id,
                _status(order.status),
                _ago(order.updated_at, now),
                f"{details.execution.status}, attempt {order.attempt}",
                order.due_at or "",
            )
        parts.append(table)
    if found.executions:
        table = Table("running execution", "its order", box=SIMPLE, pad_edge=False)
        for execution in found.executions:
            table.add_row(plain(execution.name), execution.order)
        parts.append(table)
    orders = f"{len(found.orders)} open orders without a running execution"
    executions = "" if found.note else f"; {len(found.executions)} running executions without an open order"
    parts.append(f"{orders}{executions}; {found.waiting_messages} messages wait on the queue.")
    if found.note:
        parts.append(plain(f"{found.note}."))
    return Group(*parts)


def reconciliation_as_data(found: Reconciliation) -> dict[str, Any]:
    """Return what was found, with the orders as `details_as_data` returns them."""
    data: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(found, orders=[]))
    return {**data, "orders": [details_as_data(details) for details in found.orders]}


def dead_letters_view(letters: Iterable[DeadLetter], now: str) -> RenderableType:
    """Return a table of dead letters, one per row. Malformed ones have the beginning of their body."""
    table = Table("order or body", "age", "received", "why", box=SIMPLE, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for letter in letters:
        body = letter.body if len(letter.body) <= _BODY_LENGTH else f"{letter.body[:_BODY_LENGTH]}…"
        verdict = f"[red]{letter.verdict}[/]" if letter.verdict.fails_again else letter.verdict.value
        table.add_row(
            letter.order_id or plain(repr(body)),
            _ago(letter.sent_at, now),
            str(letter.received),
            f"{verdict}: {plain(letter.reason)}",
        )
    return table


def _status(status: OrderStatus) -> str:
    color = _COLORS.get(status)
    return f"[{color}]{status.value}[/]" if color else status.value


def _line(quantity: int, title: str | None, product_id: str) -> str:
    return f"{quantity} x {title} ({product_id})" if title else f"{quantity} x {product_id}"


def _reservation(order: Order) -> str:
    if order.reservation is None:
        return "none"
    if not order.holds_stock:
        return "released"
    if order.status in (OrderStatus.FULFILLED, OrderStatus.DELIVERED):
        return "shipped"
    return "held, handed over" if order.is_handed_over else "held"


def _execution(execution: Execution) -> Iterable[str]:
    took = "" if execution.seconds is None else f" after {execution.seconds:.1f} s"
    yield f"{execution.status}{took} ({execution.name})"
    if execution.failed_state:
        yield f"failed in {execution.failed_state}"
    if execution.error:
        yield f"{execution.error}: {execution.cause}" if execution.cause else execution.error
    if execution.note:
        yield execution.note


def _history(order: Order) -> Table:
    table = Table("status", "at", "after", "why", box=SIMPLE, pad_edge=False)
    table.columns[3].overflow = "fold"
    previous = None
    for entry in order.history:
        after = "" if previous is None else _duration(clock.seconds_between(previous, entry.at))
        table.add_row(_status(entry.status), entry.at, after, plain(entry.reason or ""))
        previous = entry.at
    return table


def _ago(since: str, now: str) -> str:
    return _duration(max(0.0, clock.seconds_between(since, now)))


def _duration(seconds: float) -> str:
    """`412 ms`, `3.1 s`, `5 min 2 s`, `3 h 7 min`, `2 d 4 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
