"""Optional: connects `fulfill_order` to a fulfillment system (docs/fulfillment.md)."""

from collections.abc import Mapping, Sequence

from components.iam import Grant
from components.settings.fulfillment import FulfillmentSettings


def fulfillment_environment(settings: FulfillmentSettings | None) -> Mapping[str, str]:
    """Returns the environment variables of `fulfill_order`; none without a fulfillment system."""
    if settings is None:
        return {}
    return {
        "FULFILLMENT_URL": settings.url,
        "FULFILLMENT_SECRET_ARN": settings.secret_arn,
    }


def grant_signing(settings: FulfillmentSettings | None) -> Sequence[Grant]:
    """Returns the permission to read the signing secret; none without a fulfillment system."""
    if settings is None:
        return ()
    return [
        Grant(
            purpose="reads-signing-secret",
            actions=["secretsmanager:GetSecretValue"],
            resources=[settings.secret_arn],
        )
    ]
