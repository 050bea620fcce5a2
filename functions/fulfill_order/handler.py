"""The FulfillOrder task: reserves the stock of a validated order and has it fulfilled."""

from __future__ import annotations

from functions.fulfill_order.fulfillment import FulfillmentSystem, fulfill
from functions.shared import aws, clock
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.environment import optional, required
from functions.shared.persistence.orders import OrderRepository
from functions.shared.task import Task, task_handler


def _outside() -> FulfillmentSystem | None:
    url = optional("FULFILLMENT_URL")
    if url is None:
        return None
    from functions.fulfill_order import client  # only then: not every stack pays for it at a cold start

    return client.FulfillmentClient(
        client.read_url(url, allow_http=optional("FULFILLMENT_ALLOW_HTTP") == "true"),
        client.SigningSecret(lambda: aws.client("secretsmanager"), required("FULFILLMENT_SECRET_ARN")),
        client.open_transport(),
    )


_orders = OrderRepository(aws.client("dynamodb"), required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))
_fulfillment_system = _outside()


class FulfillTask(Task, frozen=True, rename="camel"):
    """The task with the order's lines, which ValidateOrder answered."""

    items: list[OrderLine]


@task_handler(FulfillTask)
def lambda_handler(task: FulfillTask) -> Shipment:
    """Answer the shipment, or raise `OrderRejected` for want of stock."""
    return fulfill(
        task.order_id,
        task.attempt,
        task.items,
        correlation_id=task.correlation_id,
        orders=_orders,
        outside=_fulfillment_system,
        at=clock.now(),
    )
