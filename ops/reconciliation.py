"""Compares the open orders of a stack with the running executions of its workflow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from functions.shared import clock
from functions.shared.domain.orders import Order
from functions.shared.persistence.order_lists import find_orders
from ops.executions import NO_LIST, UNKNOWN, Execution
from ops.orders import OrderDetails, execution_name, open_entries
from ops.stacks import OperatedStack

# The oldest open orders that are compared.
_EXAMINED = 1000
_BATCH = 100
# Minutes. A message or an end may still be on its way.
_MARGIN = 1
# The longest time that an EXPRESS execution runs, in minutes.
_EXPRESS = 5


class LeftExecution(msgspec.Struct, frozen=True, rename="camel"):
    """A running execution whose attempt has ended, and its order in words."""

    name: str
    order: str


class Reconciliation(msgspec.Struct, frozen=True, rename="camel"):
    """Open orders without a running execution, and running executions without an open order.

    `more`: there are more than the limit, or not all open orders were compared. An order whose execution has
    not started may have one of the `waiting_messages`. `note` says what cannot be compared.
    """

    orders: list[OrderDetails]
    executions: list[LeftExecution]
    waiting_messages: int
    more: bool
    note: str | None = None


def reconcile(stack: OperatedStack, *, limit: int) -> Reconciliation:
    """Return at most `limit` orders, the oldest first, and as many executions.

    Leaves out what changed in the last minute. AWS does not list EXPRESS executions, which end within five
    minutes. Then orders sent longer ago are returned, and no executions. Raises botocore's errors.
    """
    is_express = stack.executions.are_express()
    running = [] if is_express else stack.executions.list_running()
    now = clock.now()
    sent_before = clock.minutes_before(now, _EXPRESS if is_express else _MARGIN)
    # An attempt is due this long after its message was sent.
    due_before = clock.minutes_after(sent_before, stack.outputs.stalled_after_minutes)
    entries, are_more = open_entries(stack, due_before, _EXAMINED)
    working = set(running)
    waiting = [
        order
        for order in _read(stack, [entry.order_id for entry in entries]).values()
        if order.is_open and order.updated_at <= sent_before and execution_name(order) not in working
    ]
    waiting.sort(key=lambda order: order.due_at or "")
    found = [
        OrderDetails(
            order,
            Execution(execution_name(order), UNKNOWN, note=NO_LIST)
            if is_express
            else stack.executions.find(execution_name(order)),
        )
        for order in waiting[: limit + 1]
    ]
    # Some may have started or ended since they were read.
    current = _read(stack, [one.order.order_id for one in found])
    found = [
        one
        for one in found
        if one.execution.status != "RUNNING" and one.order == current.get(one.order.order_id)
    ]
    left = list(islice(_left(stack, running, before=clock.minutes_before(now, _MARGIN)), limit + 1))
    return Reconciliation(
        orders=found[:limit],
        executions=left[:limit],
        waiting_messages=stack.delivery.count_waiting(),
        more=are_more or max(len(found), len(left)) > limit,
        note=NO_LIST if is_express else None,
    )


def _left(stack: OperatedStack, running: Iterable[str], *, before: str) -> Iterator[LeftExecution]:
    """Yield the running executions that work on no open order since a time."""
    by_order = {name: name.rpartition("-")[0] for name in running}
    orders = _read(stack, filter(None, by_order.values()))
    for name, order_id in by_order.items():
        order = orders.get(order_id)
        if order is not None and (
            order.updated_at > before or (order.is_open and execution_name(order) == name)
        ):
            continue
        if stack.executions.find(name).status == "RUNNING":
            state = f"{order.status.value} in attempt {order.attempt}" if order else "there is no such order"
            yield LeftExecution(name, state)


def _read(stack: OperatedStack, ids: Iterable[str]) -> dict[str, Order]:
    client, table = stack.client("dynamodb"), stack.outputs.table_names.orders
    keys = list(dict.fromkeys(ids))
    found: dict[str, Order] = {}
    for start in range(0, len(keys), _BATCH):
        found |= find_orders(client, table, keys[start : start + _BATCH], consistent=True)
    return found
