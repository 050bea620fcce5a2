"""The ReleaseOrder task: undoes what FulfillOrder reserved, after a definitive refusal."""

from __future__ import annotations

from functions.release_order.release import release
from functions.shared import aws, clock
from functions.shared.environment import required
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations
from functions.shared.task import Task, task_handler

_dynamodb = aws.client("dynamodb")
_orders = OrderRepository(_dynamodb, required("ORDERS_TABLE"))
_reservations = Reservations(_dynamodb, required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))


@task_handler(Task)
def lambda_handler(task: Task) -> None:
    """Returns the goods to the stock. An order that holds none does not change."""
    release(task.order_id, task.attempt, orders=_orders, reservations=_reservations, at=clock.now())
