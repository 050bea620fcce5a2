"""The operator's actions on an order: inspect, cancel, retry, release its reservation, receive a return.

Every change uses the domain's own conditions. A repeated action changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import NotFound, Superseded
from functions.shared.domain.ids import Identifier
from functions.shared.domain.moves import Move
from functions.shared.domain.orders import Order, OrderStatus, Return, ReturnStatus
from functions.shared.domain.shipping import Recorded, ReturnReport, record_return
from functions.shared.order_queue import OrderMessage
from functions.shared.persistence.dynamodb import Item
from functions.shared.persistence.open_index import OPEN_SHARDS, OpenOrder
from functions.shared.persistence.order_lists import OrderQuery, find_orders
from functions.shared.persistence.pages import MAX_LIMIT
from ops.executions import NOT_STARTED, UNKNOWN, Execution
from ops.stacks import OperatedStack

_ID_SHOWN = 64  # characters
_PAGE = 100
# After every time.
_LAST = "9"


class Refused(Exception):
    """The order's status does not allow the action. The message is for the operator."""


class NotQueued(Exception):
    """The orders queue or the event bus did not accept all. The text says what to do."""


@dataclass(frozen=True)
class OrderDetails:
    """An order, and the execution of its last attempt that has one."""

    order: Order
    execution: Execution


@dataclass(frozen=True)
class Outcome:
    """The order after an action, whether the action changed it, and a sentence for the operator."""

    order: Order
    changed: bool
    sentence: str


def inspect_order(stack: OperatedStack, order_id: str) -> OrderDetails:
    """Return the order and its execution. Raises `NotFound` and botocore's errors."""
    return _with_execution(stack, _get(stack, order_id))


def describe_status(stack: OperatedStack, order_id: str) -> str:
    """Return one sentence with the order's status. Raises `NotFound` and botocore's errors."""
    order = _get(stack, order_id)
    reason = f" ({order.status_reason})" if order.status_reason else ""
    return f"Order {order_id} is {order.status.value}{reason} in attempt {order.attempt}."


def list_stalled(stack: OperatedStack, *, minutes: int, limit: int) -> tuple[list[OrderDetails], bool]:
    """Return the orders that are open for at least so many minutes, and whether there are more than `limit`.

    The oldest come first. Reads at most `limit + 1` entries of each shard. Raises botocore's errors.
    """
    # An attempt is due this long after it began.
    until = clock.minutes_after(clock.now(), stack.outputs.stalled_after_minutes - minutes)
    entries, are_more = open_entries(stack, until, limit)
    found = []
    for entry in entries:
        order = stack.orders.find(entry.order_id)
        if order is not None and order.due_at is not None:  # the index is eventually consistent
            found.append(_with_execution(stack, order))
    return found, are_more


def open_entries(stack: OperatedStack, until: str, limit: int) -> tuple[list[OpenOrder], bool]:
    """Return the entries of the open index that are due by a time, and whether there are more than `limit`.

    The earliest come first. Reads at most `limit + 1` entries of each shard. Raises botocore's errors.
    """
    entries: list[OpenOrder] = []
    for shard in OPEN_SHARDS:
        entries += stack.orders.open_index.list(shard, until, limit + 1, None)[0]
    entries.sort(key=lambda entry: entry.due_at)
    return entries[:limit], len(entries) > limit


def list_overdue(stack: OperatedStack, *, hours: int, limit: int) -> tuple[list[Order], bool]:
    """Return the orders in fulfillment that did not change for so many hours, and whether there are more.

    The longest silence comes first. Reads all orders of the open index: it has the time of the next request
    about an order, not of the last report. Raises botocore's errors.
    """
    until = clock.minutes_before(clock.now(), 60 * hours)
    client, table = stack.client("dynamodb"), stack.outputs.table_names.orders
    found: list[Order] = []
    for shard in OPEN_SHARDS:
        start: Item | None = None
        while True:
            entries, start = stack.orders.open_index.list(shard, _LAST, _PAGE, start)
            ids = [entry.order_id for entry in entries]
            found += [
                order
                for order in find_orders(client, table, ids).values()
                if order.status is OrderStatus.IN_FULFILLMENT and order.updated_at <= until
            ]
            if start is None:
                break
    found.sort(key=lambda order: order.updated_at)
    return found[:limit], len(found) > limit


def list_orders(stack: OperatedStack, query: OrderQuery, *, limit: int) -> tuple[list[Order], bool]:
    """Return the newest orders of a query, and whether there may be more than `limit`.

    Reads as many pages as that takes. Raises botocore's errors.
    """
    found: list[Order] = []
    token = None
    while len(found) < limit:
        page = stack.order_lists.page(query, min(limit - len(found), MAX_LIMIT), token)
        found += page.items
        token = page.next_token
        if token is None:
            break
    return found, token is not None


def each_order(stack: OperatedStack, query: OrderQuery) -> Iterator[Order]:
    """Yield all orders of a query, newest first. Raises botocore's errors."""
    token = None
    while True:
        page = stack.order_lists.page(query, MAX_LIMIT, token)
        yield from page.items
        token = page.next_token
        if token is None:
            return


def execution_name(order: Order) -> str:
    """Return the name of the execution of an order's attempt."""
    return _message(order).execution_name


def _get(stack: OperatedStack, order_id: str) -> Order:
    _check_id(order_id)
    return stack.orders.get(order_id)


def _check_id(order_id: str) -> None:
    """Raise `NotFound` for a text that is not an id. AWS would answer with an error of its own."""
    try:
        msgspec.convert(order_id, Identifier)
    except msgspec.ValidationError:
        shown = f"{order_id[:_ID_SHOWN]!r}{'…' if len(order_id) > _ID_SHOWN else ''}"
        raise NotFound(
            f"there is no order {shown}: an id has 1 to 64 letters, digits, dots, - and _"
        ) from None


def _with_execution(stack: OperatedStack, order: Order) -> OrderDetails:
    execution = stack.executions.find(execution_name(order))
    if execution.status in (NOT_STARTED, UNKNOWN) and order.attempt > 1 and not order.is_open:
        # The requeue fails an order under a new attempt that has no execution. The attempt before has one.
        before = msgspec.structs.replace(order, attempt=order.attempt - 1)
        execution = stack.executions.find(execution_name(before))
    return OrderDetails(order, execution)


def cancel(stack: OperatedStack, order_id: str) -> Outcome:
    """Cancel an order that has no reservation.

    Raises `NotFound`, `TooLateToCancel` and botocore's errors.
    """
    _check_id(order_id)
    move = Move(
        order_id=order_id, to=OrderStatus.CANCELLED, at=clock.now(), reason="cancelled by an operator"
    )
    changed = stack.lifecycle.make_final_move(move).changed
    order = stack.orders.get(order_id)
    sentence = (
        f"Order {order_id} is cancelled."
        if changed
        else f"Order {order_id} was cancelled before; nothing changed."
    )
    if order.due_at is not None:
        sentence += " Its event is not published yet; requeue_stalled_orders publishes it."
    return Outcome(order, changed, sentence)


def retry(stack: OperatedStack, order_id: str) -> Outcome:
    """Set a FAILED order to PENDING under its next attempt, and send it to the queue.

    Raises `NotFound`, `Refused`, `NotQueued` and botocore's errors.
    """
    order = _get(stack, order_id)
    try:
        order = stack.lifecycle.retry(order, stalled_after_minutes=stack.outputs.stalled_after_minutes)
    except Superseded:
        return _repeat_retry(stack, order_id)
    _send(stack, order)
    return Outcome(
        order,
        True,
        f"Order {order_id} is PENDING again, in attempt {order.attempt}, and on the queue.",
    )


def requeue(stack: OperatedStack, order_id: str) -> Outcome:
    """Give an open order a new attempt, as `requeue_stalled_orders` does, without waiting until it is due.

    Raises `NotFound`, `Refused` (not open, or its execution runs), `Superseded` and `OrderCancelled` for
    a concurrent change, `NotQueued` and botocore's errors.
    """
    order = _get(stack, order_id)
    if not order.is_open:
        raise Refused(f"Order {order_id} is {order.status.value}; only an open order can be requeued.")
    execution = stack.executions.find(execution_name(order))
    if execution.status == "RUNNING":
        raise Refused(f"Order {order_id} has a running execution in attempt {order.attempt}.")
    at = clock.now()
    due_at = clock.minutes_after(at, stack.outputs.stalled_after_minutes)
    order = stack.orders.begin_attempt(order, at=at, due_at=due_at)
    _send(stack, order)
    return Outcome(
        order, True, f"Order {order_id} is {order.status.value} in attempt {order.attempt}, and on the queue."
    )


def _repeat_retry(stack: OperatedStack, order_id: str) -> Outcome:
    order = stack.orders.get(order_id)
    if not order.is_open:
        raise Refused(f"Order {order_id} is {order.status.value}; only a FAILED order can be retried.")
    if order.status is OrderStatus.PENDING:
        # An earlier retry may have ended before it sent the message. A second message changes nothing.
        _send(stack, order)
        sentence = (
            f"Order {order_id} is PENDING in attempt {order.attempt} already; its message was sent again."
        )
    else:
        sentence = (
            f"Order {order_id} is {order.status.value} in attempt {order.attempt} already; nothing changed."
        )
    return Outcome(order, False, sentence)


def release(stack: OperatedStack, order_id: str) -> Outcome:
    """Release the reservation of a FAILED order. The order stays FAILED.

    The operator is responsible for the fact that the fulfillment system does not ship it. Raises `NotFound`
    and `Refused`, `Superseded` and `StoreContention` for a concurrent change, and botocore's errors.
    """
    order = _get(stack, order_id)
    # The release is conditional on the attempt: a FAILED order changes only by a retry, under a new attempt.
    if order.status is not OrderStatus.FAILED:
        raise Refused(
            f"Order {order_id} is {order.status.value}; "
            "only the reservation of a FAILED order can be released."
        )
    changed = stack.reservations.release(order, at=clock.now(), even_if_handed_over=True)
    order = stack.orders.get(order_id)
    if not changed:
        return Outcome(order, False, f"Order {order_id} holds no reservation; nothing changed.")
    pieces = sum(line.quantity for line in order.items)
    return Outcome(order, True, f"The reservation of order {order_id} ({pieces} pieces) is released.")


def receive(
    stack: OperatedStack,
    order_id: str,
    return_id: str,
    *,
    pieces: Mapping[str, int],
    restock: bool | None,
) -> Outcome:
    """Record that a return arrived. With `restock`, its items go back to stock.

    Without `pieces` (by product) and `restock`, the return is received as it was announced. Raises
    `NotFound`, `Refused` (not announced, and no pieces), `InvalidInput`, `ReportRefused` (more than was
    shipped, or received with other content before), `StoreContention` and botocore's errors.
    """
    before = _get(stack, order_id)
    at = clock.now()

    def decide(order: Order) -> Recorded:
        report = _received(order, return_id, pieces, restock)
        return record_return(order, return_id, report, at=at)

    # A return is no word of the fulfillment system: what it owes is due as before.
    recorded = stack.reporting.record(order_id, decide, at=at, due_at=before.due_at)
    order = stack.orders.get(order_id)
    if not recorded.is_changed:
        return Outcome(
            order, False, f"Return {return_id} of order {order_id} was received before; nothing changed."
        )
    back = _find_return(recorded.order, return_id)
    quantity, restocked = (sum(back.quantities), sum(back.restocked)) if back else (0, 0)
    sentence = (
        f"Return {return_id} of order {order_id} is received ({quantity} pieces, {restocked} back in stock)."
    )
    if order.unsent:
        sentence += " Its event is not published yet; requeue_stalled_orders publishes it."
    return Outcome(order, True, sentence)


def _received(order: Order, return_id: str, pieces: Mapping[str, int], restock: bool | None) -> ReturnReport:
    """Return the report of a return that arrived: these pieces, or else those that were announced."""
    announced = _find_return(order, return_id)
    if announced is None and not pieces:
        raise Refused(
            f"Order {order.order_id} has no return {return_id}. "
            "Write --line PRODUCT_ID=QUANTITY for each product that arrived."
        )
    quantities, restocked = dict(pieces), set()
    if announced is not None:
        for line, quantity, again in zip(order.items, announced.quantities, announced.restocked, strict=True):
            if quantity and not pieces:
                quantities[line.product_id] = quantity
            if again:
                restocked.add(line.product_id)
    lines = [
        {
            "productId": product,
            "quantity": quantity,
            "restock": product in restocked if restock is None else restock,
        }
        for product, quantity in quantities.items()
    ]
    try:
        msgspec.convert(return_id, Identifier)
        return msgspec.convert(
            {
                "status": ReturnStatus.RECEIVED,
                "lines": lines,
                "reason": announced.reason if announced is not None else None,
            },
            ReturnReport,
        )
    except msgspec.ValidationError as error:
        raise Refused(f"The return is not valid: {error}.") from None


def _find_return(order: Order, return_id: str) -> Return | None:
    return next((back for back in order.returns if back.return_id == return_id), None)


def _send(stack: OperatedStack, order: Order) -> None:
    try:
        stack.queue.send(_message(order))
    except (ClientError, BotoCoreError) as error:
        raise NotQueued(
            f"Order {order.order_id} is PENDING in attempt {order.attempt}, but the orders queue did not "
            f"accept its message ({error}). Run the command again, or wait for requeue_stalled_orders."
        ) from error


def _message(order: Order) -> OrderMessage:
    return OrderMessage(
        order_id=order.order_id, attempt=order.attempt, correlation_id=f"operator-{uuid.uuid4()}"
    )
