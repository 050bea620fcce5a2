"""What needs attention: orders that are not final or FAILED, the orders queue, and dead letters."""

from __future__ import annotations

import msgspec

from functions.shared.domain.orders import OPEN_STATUSES, OrderStatus
from functions.shared.persistence.order_lists import OrderQuery
from ops.orders import list_orders
from ops.stacks import OperatedStack

_COUNTED = 1000


class StatusCount(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The number of orders with a status, and the oldest of them. `more`: only the newest were counted."""

    status: OrderStatus
    orders: int
    more: bool = False
    oldest: str | None = None


class Overview(msgspec.Struct, frozen=True, rename="camel"):
    """Counts of a stack. Those of queues are approximate, as SQS returns them."""

    orders: list[StatusCount]
    waiting_messages: int
    dead_letters: int


def overview(stack: OperatedStack) -> Overview:
    """Return the overview of a stack. Reads at most 1,000 orders per status. Raises botocore's errors."""
    name = "ApproximateNumberOfMessages"
    queue = stack.client("sqs").get_queue_attributes(QueueUrl=stack.outputs.queue_url, AttributeNames=[name])
    return Overview(
        orders=[_count(stack, status) for status in (*OPEN_STATUSES, OrderStatus.FAILED)],
        waiting_messages=int(queue["Attributes"][name]),
        dead_letters=stack.dead_letters.count(),
    )


def _count(stack: OperatedStack, status: OrderStatus) -> StatusCount:
    found, are_more = list_orders(stack, OrderQuery(status=status), limit=_COUNTED)
    oldest = min((order.created_at for order in found), default=None)
    return StatusCount(status, len(found), are_more, oldest)
