"""The FulfillOrder task: reserves the stock of a validated order and has it fulfilled."""

from __future__ import annotations

from urllib.parse import urlsplit

from functions.fulfill_order.fulfillment import FulfillmentSystem, fulfill
from functions.shared import aws, clock
from functions.shared.domain.orders import OrderLine, Shipment
from functions.shared.environment import optional, required
from functions.shared.persistence.reservations import Reservations
from functions.shared.task import Task, task_handler


def _open_fulfillment_system() -> FulfillmentSystem | None:
    url = optional("FULFILLMENT_URL")
    if url is None:
        return None
    from functions.fulfill_order import client  # imported only if needed, because it costs a cold start

    return client.FulfillmentClient(
        urlsplit(url),
        client.SigningSecret(lambda: aws.client("secretsmanager"), required("FULFILLMENT_SECRET_ARN")),
        client.open_transport(),
    )


_reservations = Reservations(aws.client("dynamodb"), required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))
_fulfillment_system = _open_fulfillment_system()


class FulfillTask(Task, frozen=True, rename="camel"):
    """The task with the order's lines, from the result of ValidateOrder."""

    items: list[OrderLine]


@task_handler(FulfillTask)
def lambda_handler(task: FulfillTask) -> Shipment:
    """Returns the shipment. Raises what `fulfill` raises."""
    return fulfill(
        task.order_id,
        task.attempt,
        task.items,
        correlation_id=task.correlation_id,
        reservations=_reservations,
        system=_fulfillment_system,
        at=clock.now(),
    )
