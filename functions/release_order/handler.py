"""The ReleaseOrder task: undoes what FulfillOrder reserved, after a definitive refusal."""

from __future__ import annotations

from functions.release_order.release import release
from functions.shared import aws, clock
from functions.shared.environment import required
from functions.shared.persistence.orders import OrderRepository
from functions.shared.task import Task, task_handler

_orders = OrderRepository(aws.client("dynamodb"), required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))


@task_handler(Task)
def lambda_handler(task: Task) -> None:
    """Put the goods back; an order that holds none is left as it is."""
    release(task.order_id, task.attempt, orders=_orders, at=clock.now())
