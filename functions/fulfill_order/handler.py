"""The FulfillOrder task: reserves the stock of a validated order and has it fulfilled."""

from __future__ import annotations

from functions.fulfill_order.fulfillment import fulfill
from functions.shared import aws, clock
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.environment import required
from functions.shared.persistence.orders import OrderRepository
from functions.shared.task import Task, task_handler

_orders = OrderRepository(aws.client("dynamodb"), required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))


class FulfillTask(Task, frozen=True, rename="camel"):
    """The task with the order's lines, which ValidateOrder answered."""

    items: list[OrderLine]


@task_handler(FulfillTask)
def lambda_handler(task: FulfillTask) -> Shipment:
    """Answer the shipment, or raise `OrderRejected` for want of stock."""
    return fulfill(task.order_id, task.attempt, task.items, orders=_orders, at=clock.now())
