"""What an operator does with an order: look into it, cancel it, try it again, put its goods back.

Every change is one of the domain's own, under its own conditions; doing it twice changes nothing more.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import NotFound, Superseded
from functions.shared.domain.ids import Identifier
from functions.shared.domain.moves import Move
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.order_queue import OrderMessage
from functions.shared.persistence.open_index import OPEN_SHARDS, OpenOrder
from ops.executions import NOT_STARTED, UNKNOWN, Execution
from ops.targets import Target

_ID_SHOWN = 64  # characters


class Refused(Exception):
    """The order's state does not allow the action; the message is one sentence."""


class NotQueued(Exception):
    """The order was put back to PENDING, but its message could not be sent; the message says what to do."""


@dataclass(frozen=True)
class Inspected:
    """An order, and the execution of its last attempt that has one."""

    order: Order
    execution: Execution


@dataclass(frozen=True)
class Done:
    """What an action did, in one sentence, and whether that changed anything."""

    order: Order
    changed: bool
    sentence: str


def inspect(target: Target, order_id: str) -> Inspected:
    """The order as it is now. Raises `NotFound` and botocore's errors."""
    return _inspected(target, _get(target, order_id))


def standing(target: Target, order_id: str) -> str:
    """How an order stands, in one sentence. Raises `NotFound` and botocore's errors."""
    order = _get(target, order_id)
    reason = f" ({order.status_reason})" if order.status_reason else ""
    return f"Order {order_id} is {order.status.value}{reason} in attempt {order.attempt}."


def stalled(target: Target, *, minutes: int, limit: int) -> tuple[list[Inspected], bool]:
    """Orders that wait for that many minutes and longer, the oldest first, and whether there are more.

    Reads no more of each shard than could be shown. Raises botocore's errors.
    """
    before = clock.minutes_before(clock.now(), minutes)
    entries: list[OpenOrder] = []
    for shard in OPEN_SHARDS:
        entries += target.orders.open_index.list(shard, before, limit + 1, None)[0]
    entries.sort(key=lambda entry: entry.since)
    found = []
    for entry in entries[:limit]:
        order = target.orders.find(entry.order_id)
        if order is not None and order.open_since is not None:  # the index lags behind
            found.append(_inspected(target, order))
    return found, len(entries) > limit


def _get(target: Target, order_id: str) -> Order:
    _check_id(order_id)
    return target.orders.get(order_id)


def _check_id(order_id: str) -> None:
    """Raises `NotFound` for what can be no id, of which AWS would say so in words of its own."""
    try:
        msgspec.convert(order_id, Identifier)
    except msgspec.ValidationError:
        shown = f"{order_id[:_ID_SHOWN]!r}{'…' if len(order_id) > _ID_SHOWN else ''}"
        raise NotFound(f"there is no order {shown}: an id has 1 to 64 letters, digits, - and _") from None


def _inspected(target: Target, order: Order) -> Inspected:
    execution = target.executions.find(_message(order).execution_name)
    if execution.status in (NOT_STARTED, UNKNOWN) and order.attempt > 1 and not order.is_open:
        # The requeue gives an order up under a new attempt that nobody is told of; why is in the one before.
        before = msgspec.structs.replace(order, attempt=order.attempt - 1)
        execution = target.executions.find(_message(before).execution_name)
    return Inspected(order, execution)


def cancel(target: Target, order_id: str) -> Done:
    """Cancel an order whose goods are not reserved.

    Raises `NotFound`, `TooLateToCancel` and botocore's errors.
    """
    _check_id(order_id)
    move = Move(
        order_id=order_id, to=OrderStatus.CANCELLED, at=clock.now(), reason="cancelled by an operator"
    )
    changed = target.lifecycle.make_final_move(move).changed
    order = target.orders.get(order_id)
    sentence = (
        f"Order {order_id} is cancelled."
        if changed
        else f"Order {order_id} was cancelled before; nothing changed."
    )
    if order.open_since is not None:
        sentence += " Its event is not out yet; requeue_stalled_orders sends it."
    return Done(order, changed, sentence)


def retry(target: Target, order_id: str) -> Done:
    """Put a failed order back to PENDING with its next attempt, and send it to the workflow.

    Raises `NotFound`, `Refused`, `NotQueued` and botocore's errors.
    """
    order = _get(target, order_id)
    try:
        order = target.lifecycle.retry(order)
    except Superseded:
        return _retried_before(target, order_id)
    _send(target, order)
    return Done(
        order,
        True,
        f"Order {order_id} is PENDING again, in attempt {order.attempt}, and on the queue.",
    )


def _retried_before(target: Target, order_id: str) -> Done:
    order = target.orders.get(order_id)
    if not order.is_open:
        raise Refused(f"Order {order_id} is {order.status.value}; only a FAILED order can be retried.")
    if order.status is OrderStatus.PENDING:
        # An earlier retry may have been cut off before it sent the message; a second one changes nothing.
        _send(target, order)
        sentence = (
            f"Order {order_id} is PENDING in attempt {order.attempt} already; its message was sent again."
        )
    else:
        sentence = (
            f"Order {order_id} is {order.status.value} in attempt {order.attempt} already; nothing changed."
        )
    return Done(order, False, sentence)


def release(target: Target, order_id: str) -> Done:
    """Put the goods back on the shelf that a failed order still holds. The order stays FAILED.

    That the fulfillment system has not shipped them and never will is the operator's word. Raises `NotFound`,
    `Refused`, `Superseded` and `StoreContention` when somebody else changes the order at the same time, and
    botocore's errors.
    """
    order = _get(target, order_id)
    # The attempt fences what follows: a failed order changes only by a retry, which gives it another one.
    if order.status is not OrderStatus.FAILED:
        raise Refused(
            f"Order {order_id} is {order.status.value}; only a FAILED order's goods are put back by hand."
        )
    changed = target.reservations.release(order, at=clock.now(), even_if_handed_over=True)
    order = target.orders.get(order_id)
    if not changed:
        return Done(order, False, f"Order {order_id} holds no goods; nothing changed.")
    pieces = sum(line.quantity for line in order.items)
    return Done(order, True, f"The goods of order {order_id} ({pieces} pieces) are back on the shelf.")


def _send(target: Target, order: Order) -> None:
    try:
        target.queue.send(_message(order))
    except (ClientError, BotoCoreError) as error:
        raise NotQueued(
            f"Order {order.order_id} is PENDING in attempt {order.attempt}, but the queue did not take its "
            f"message ({error}); run the command again, or leave it to requeue_stalled_orders."
        ) from error


def _message(order: Order) -> OrderMessage:
    return OrderMessage(
        order_id=order.order_id, attempt=order.attempt, correlation_id=f"operator-{uuid.uuid4()}"
    )
