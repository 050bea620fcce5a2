"""The ValidateOrder task: reads the order, its user and its products, and returns the prices."""

from __future__ import annotations

from functions.shared import aws
from functions.shared.domain.orders import ValidatedOrder
from functions.shared.environment import required
from functions.shared.persistence import records
from functions.shared.persistence.orders import OrderRepository
from functions.shared.task import Task, task_handler
from functions.validate_order.validation import validate

_dynamodb = aws.client("dynamodb")
_orders = OrderRepository(_dynamodb, required("ORDERS_TABLE"))
_users = records.users(_dynamodb, required("USERS_TABLE"))
_products = records.products(_dynamodb, required("PRODUCTS_TABLE"))


@task_handler(Task)
def lambda_handler(task: Task) -> ValidatedOrder:
    """Returns the order's priced lines, total and currency. Raises what `validate` raises."""
    return validate(task.order_id, task.attempt, orders=_orders, users=_users, products=_products)
