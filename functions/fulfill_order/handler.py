"""The FulfillOrder task: reserves the stock of a validated order and has it fulfilled."""

from __future__ import annotations

from functions.fulfill_order.fulfillment import fulfill
from functions.shared import aws, clock
from functions.shared.domain.orders import Fulfillment, OrderContent, ValidatedOrder
from functions.shared.environment import optional, required
from functions.shared.fulfillment import open_fulfillment_system
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reports import Reports
from functions.shared.persistence.reservations import Reservations
from functions.shared.task import Task, task_handler

_dynamodb = aws.client("dynamodb")
_tables = (required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))
_orders = OrderRepository(_dynamodb, required("ORDERS_TABLE"))
_reservations = Reservations(_dynamodb, *_tables)
_reports = Reports(_dynamodb, *_tables)
_overdue_minutes = 60 * int(optional("FULFILLMENT_OVERDUE_HOURS") or 0)
_fulfillment_system = open_fulfillment_system()


class FulfillTask(Task, frozen=True, rename="camel"):
    """The task with the result of ValidateOrder."""

    pricing: ValidatedOrder


@task_handler(FulfillTask)
def lambda_handler(task: FulfillTask) -> Fulfillment:
    """Returns the order's next status. Raises what `fulfill` raises."""

    def read_content() -> OrderContent:
        # Most orders have none, and only the fulfillment system needs it.
        return _orders.get(task.order_id) if task.pricing.has_content else OrderContent()

    at = clock.now()
    return fulfill(
        task.order_id,
        task.attempt,
        task.pricing.items,
        read_content=read_content,
        correlation_id=task.correlation_id,
        reservations=_reservations,
        reports=_reports,
        system=_fulfillment_system,
        at=at,
        due_at=clock.minutes_after(at, _overdue_minutes),
    )
