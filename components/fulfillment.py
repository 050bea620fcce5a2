"""Optional: the connection of FulfillOrder to a fulfillment system outside AWS (docs/fulfillment.md)."""

from collections.abc import Mapping

from components.function import LambdaFunction
from components.settings.fulfillment import FulfillmentSettings


def environment(settings: FulfillmentSettings | None) -> Mapping[str, str]:
    """Returns the environment variables of the function that hands orders over; none without a system."""
    if settings is None:
        return {}
    return {
        "FULFILLMENT_URL": settings.url,
        "FULFILLMENT_SECRET_ARN": settings.secret_arn,
        "FULFILLMENT_ALLOW_HTTP": str(settings.allow_http).lower(),
    }


def grant_signing(function: LambdaFunction, settings: FulfillmentSettings | None) -> None:
    """Lets the function read the secret that signs its requests; grants nothing without a system."""
    if settings is not None:
        function.allow("reads-signing-secret", ["secretsmanager:GetSecretValue"], [settings.secret_arn])
