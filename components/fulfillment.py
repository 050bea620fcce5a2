"""Optional: the connection of FulfillOrder to a fulfillment system outside AWS (docs/fulfillment.md)."""

from collections.abc import Mapping, Sequence

from components.iam import Grant
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


def grant_signing(settings: FulfillmentSettings | None) -> Sequence[Grant]:
    """Permission to read the secret that signs the requests; none without a system."""
    if settings is None:
        return ()
    return [
        Grant(
            purpose="reads-signing-secret",
            actions=["secretsmanager:GetSecretValue"],
            resources=[settings.secret_arn],
        )
    ]
