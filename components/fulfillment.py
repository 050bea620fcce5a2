"""Optional: connects the stack to a fulfillment system (docs/fulfillment.md)."""

from components.dashboard import Widget, graph, line
from components.event_bus import EventBus
from components.function import Environment, LambdaFunction
from components.iam import Grant, Grants
from components.metrics import from_code
from components.monitoring import Alarm, AlarmCondition
from components.rest_api import RestApi
from components.settings.fulfillment import FulfillmentSettings
from components.table import Table


def with_fulfillment(
    settings: FulfillmentSettings | None,
    is_used: bool,
    environment: Environment,
    grants: Grants,
    orders: Table,
) -> tuple[Environment, Grants]:
    """Returns what a function that talks to the fulfillment system needs beside its own.

    These are the system's URL and silence, and the permissions to sign and to read the order. Returns the
    function's own if it does not talk to one, or there is none.
    """
    if settings is None or not is_used:
        return environment, grants
    more = {
        "FULFILLMENT_URL": settings.url,
        "FULFILLMENT_SECRET_ARN": settings.secret_arn,
        "FULFILLMENT_OVERDUE_HOURS": str(settings.overdue_hours),
    }
    signing = Grant(
        purpose="reads-signing-secret",
        actions=["secretsmanager:GetSecretValue"],
        resources=[settings.secret_arn],
    )
    reading = orders.grant_read("GetItem")
    own = [grant for grant in grants if grant.purpose != reading.purpose]
    return {**environment, **more}, [*own, reading, signing]


def connect_fulfillment(
    settings: FulfillmentSettings | None,
    bus: EventBus,
    requeue: LambdaFunction,
    api: RestApi,
    reports: LambdaFunction,
    alarms: list[Alarm],
    graphs: list[Widget],
) -> None:
    """Declares the routes of the system's reports, and asks it to cancel. Without a system, declares nothing.

    `alarms` and `graphs` get those of reports that an operator must see, and of reports that are missing.
    """
    if settings is None:
        return
    # A client's request to cancel would wait for the schedule otherwise.
    bus.invokes(requeue, "OrderCancellationRequested")
    for noun in ("shipment", "refusal"):
        api.route("PUT", f"/orders/{{orderId}}/{noun}s/{{{noun}Id}}", reports)
    unexpected = from_code("reports_api", "UnexpectedShipments")
    overdue = from_code("requeue_stalled_orders", "OrdersOverdue")
    alarms += [
        Alarm(
            "unexpected_shipments",
            "The fulfillment system shipped parcels of orders that were given up.",
            unexpected,
            AlarmCondition(),
        ),
        Alarm(
            "overdue_orders",
            f"The fulfillment system was silent for {settings.overdue_hours} hours about orders that it has.",
            overdue,
            AlarmCondition(),
        ),
    ]
    graphs.append(
        graph(
            "The fulfillment system: reports missing, or not expected",
            [line(overdue, "overdue orders"), line(unexpected, "parcels of orders given up")],
        )
    )
