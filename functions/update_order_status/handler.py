"""The Mark... tasks: one legal move of an order, and its event."""

from __future__ import annotations

import msgspec

from functions.shared import aws, clock
from functions.shared.domain.moves import Move
from functions.shared.domain.orders import Fulfillment, Order, OrderStatus, Pricing
from functions.shared.environment import required
from functions.shared.events import EventBus
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import emit
from functions.shared.outcomes import count_moves
from functions.shared.persistence.orders import OrderRepository
from functions.shared.task import Task, task_handler

_lifecycle = OrderLifecycle(
    OrderRepository(aws.client("dynamodb"), required("ORDERS_TABLE")),
    EventBus.of_stack(lambda: aws.client("events")),
)


class MoveTask(Task, frozen=True, rename="camel"):
    """The task with the new status and its data."""

    status: OrderStatus
    reason: str | None = None
    pricing: Pricing | None = None
    fulfillment: Fulfillment | None = None


class Moved(msgspec.Struct, frozen=True, rename="camel"):
    """The result of the move, for the state machine's log."""

    order_id: str
    status: OrderStatus


@task_handler(MoveTask)
def lambda_handler(task: MoveTask) -> Moved:
    """Moves the order. A repeat changes nothing, publishes the event again, and succeeds."""
    move = Move(
        order_id=task.order_id,
        to=task.status,
        at=clock.now(),
        attempt=task.attempt,
        reason=task.reason,
        pricing=task.pricing,
        shipment=task.fulfillment.shipment if task.fulfillment else None,
        due_at=task.fulfillment.due_at if task.fulfillment else None,
        in_place=task.fulfillment is not None and task.fulfillment.in_place,
    )
    order, changed = _lifecycle.advance(move)
    if changed:
        _measure(order)
    return Moved(order_id=order.order_id, status=task.status)


def _measure(order: Order) -> None:
    if order.status is OrderStatus.REJECTED:
        emit(counts=("OrdersRejected",), reason=(order.status_reason or "unknown").split(":", 1)[0])
        return
    took = clock.seconds_between(order.created_at, order.updated_at)
    seconds = {"TimeToFulfill": took} if order.status is OrderStatus.FULFILLED else None
    count_moves([order.status], seconds=seconds)
