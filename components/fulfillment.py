"""Optional: connects the stack to a fulfillment system (docs/fulfillment.md)."""

from components.function import Environment, LambdaFunction
from components.iam import Grant, Grants
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


def route_reports(settings: FulfillmentSettings | None, api: RestApi, reports: LambdaFunction) -> None:
    """Declares the routes on which the fulfillment system reports; none without a system."""
    if settings is None:
        return
    for noun in ("shipment", "refusal"):
        api.route("PUT", f"/orders/{{orderId}}/{noun}s/{{{noun}Id}}", reports)
