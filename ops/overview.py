"""What needs attention: open and FAILED orders, the orders queue, dead letters and alarms."""

from __future__ import annotations

import msgspec

from functions.shared import clock
from functions.shared.domain.orders import UNFINISHED_STATUSES, OrderStatus
from functions.shared.persistence.order_lists import OrderQuery
from ops.alarms import AlarmCounts, count_alarms
from ops.delivery import DeliveryState
from ops.orders import list_orders
from ops.stacks import OperatedStack

_COUNTED = 1000
_RECENT_HOURS = 24


class StatusCount(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The number of orders with a status, and the oldest of them. `more`: only the newest were counted."""

    status: OrderStatus
    orders: int
    more: bool = False
    oldest: str | None = None


class Overview(msgspec.Struct, frozen=True, rename="camel"):
    """Counts of a stack. Those of queues are approximate, as SQS returns them.

    `orders` has the statuses in which orders wait. `ended` has the others, of the orders placed in the last
    24 hours. `alarms` is None for a stack whose resources Pulumi did not name.
    """

    orders: list[StatusCount]
    ended: list[StatusCount]
    waiting_messages: int
    delivery: DeliveryState
    dead_letters: int
    alarms: AlarmCounts | None


def overview(stack: OperatedStack) -> Overview:
    """Return the overview of a stack.

    Reads at most 1,000 orders per status, and of the last 24 hours. Raises `NotFound` and botocore's errors.
    """
    names = stack.outputs.project_and_stack
    waiting = (*UNFINISHED_STATUSES, OrderStatus.FAILED)
    return Overview(
        orders=[_count(stack, status) for status in waiting],
        ended=_count_ended(stack, [status for status in OrderStatus if status not in waiting]),
        waiting_messages=stack.delivery.count_waiting(),
        delivery=stack.delivery.state(),
        dead_letters=stack.dead_letters.count(),
        alarms=count_alarms(stack.client("cloudwatch"), *names) if names else None,
    )


def _count(stack: OperatedStack, status: OrderStatus) -> StatusCount:
    found, are_more = list_orders(stack, OrderQuery(status=status), limit=_COUNTED)
    oldest = min((order.created_at for order in found), default=None)
    return StatusCount(status, len(found), are_more, oldest)


def _count_ended(stack: OperatedStack, statuses: list[OrderStatus]) -> list[StatusCount]:
    """Return how many of the newest orders have each status."""
    since = clock.minutes_before(clock.now(), 60 * _RECENT_HOURS)
    found, are_more = list_orders(stack, OrderQuery(placed_from=since), limit=_COUNTED)
    return [
        StatusCount(status, sum(order.status is status for order in found), are_more) for status in statuses
    ]
