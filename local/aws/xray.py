"""X-Ray. The emulator has none: a sampling rule is accepted without effect."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Field, Kind


def _create_rule(call: Creation) -> Created:
    name = call.name("ruleName")
    return name, {"ruleName": name, "arn": call.cloud.arn("xray", f"sampling-rule/{name}")}


_RULE: Final[dict[str, Field | str]] = {
    "ruleName": OWN,
    "priority": OWN,
    "version": OWN,
    "reservoirSize": OWN,
    "fixedRate": OWN,
    "serviceName": OWN,
    "serviceType": OWN,
    "host": OWN,
    "httpMethod": OWN,
    "urlPath": OWN,
    "resourceArn": OWN,
    "attributes": OWN,
    "tags": OWN,
}

KINDS: Final = (
    Kind(
        resource_type="aws:xray/samplingRule:SamplingRule",
        inputs=_RULE,
        outputs=("arn", "ruleName"),
        create=_create_rule,
    ),
)
