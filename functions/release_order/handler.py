"""The ReleaseOrder task: releases what FulfillOrder reserved, after a refusal."""

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
    """Releases the reservation. An order without one does not change."""
    release(task.order_id, task.attempt, orders=_orders, reservations=_reservations, at=clock.now())
