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
from functions.shared.domain.orders import Order, OrderStatus
from local.terminal import plain, visible_lines
from ops.dead_letters import DeadLetter
from ops.executions import Execution
from ops.orders import OrderDetails, Outcome
from ops.overview import Overview

_COLORS = {
    OrderStatus.FULFILLED: "green",
    OrderStatus.REJECTED: "yellow",
    OrderStatus.CANCELLED: "yellow",
    OrderStatus.FAILED: "red",
}
_BODY_LENGTH = 30  # characters


def as_json(value: object) -> str:
    """Return a value as JSON. Control characters are escaped."""
    return visible_lines(json.dumps(value, indent=2, ensure_ascii=False))


def details_as_data(details: OrderDetails) -> dict[str, Any]:
    """Return the stored order, with its execution under `execution`."""
    return {**msgspec.to_builtins(details.order), "execution": msgspec.to_builtins(details.execution)}


def outcome_as_data(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome of an action, with the order after it."""
    return {
        "changed": outcome.changed,
        "message": outcome.sentence,
        "order": msgspec.to_builtins(outcome.order),
    }


def order_view(details: OrderDetails) -> RenderableType:
    """Return an order's attributes, execution and history."""
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
    if order.handed_over_to is not None:
        facts.add_row("Handed to", plain(order.handed_over_to))
    shipments = ", ".join(shipment.shipment_id for shipment in order.shipments)
    facts.add_row("Shipments", plain(shipments) if shipments else "none")
    if order.due_at is not None:
        note = "" if order.is_open else "; its event is not published yet"
        facts.add_row("Due", f"{order.due_at}{note}")
    for number, text in enumerate(_execution(details.execution)):
        facts.add_row("Execution" if number == 0 else "", plain(text))
    return Group(facts, _history(order))


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
            f"{details.execution.status}, attempt {order.attempt}"
            if order.is_open
            else "event not published",
        )
    return table


def overview_view(counts: Overview, now: str) -> RenderableType:
    """Return a table of counts, one per status and queue."""
    table = Table("", "count", "oldest", box=SIMPLE, pad_edge=False)
    for count in counts.orders:
        number = f"{count.orders} or more" if count.more else str(count.orders)
        table.add_row(
            f"orders {_status(count.status)}", number, _ago(count.oldest, now) if count.oldest else ""
        )
    table.add_row("messages that wait", str(counts.waiting_messages), "")
    dead = str(counts.dead_letters)
    table.add_row("dead letters", f"[red]{dead}[/]" if counts.dead_letters else dead, "")
    return table


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
    if order.status is OrderStatus.FULFILLED:
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
