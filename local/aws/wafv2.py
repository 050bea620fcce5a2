"""WAF. The emulator stores web ACLs and associations but filters no requests."""

from typing import Any, Final

from local.aws.core import OWN, Created, Creation, Kind, nested, not_emulated, tag_list


def _pascal(value: Any) -> Any:
    """Capitalizes all keys of a rule: the provider's names are boto3's with a lower-case first letter."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _pascal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_pascal(item) for item in value]
    return value


def _create_acl(call: Creation) -> Created:
    name = call.name()
    params = dict(call.params)
    params["DefaultAction"] = _pascal(call.inputs["defaultAction"])
    params["Rules"] = [_pascal(_renamed(rule)) for rule in call.inputs.get("rules") or []]
    summary = call.client("wafv2").create_web_acl(Name=name, **params)["Summary"]
    return summary["Id"], {"name": name, "arn": summary["ARN"], "lockToken": summary["LockToken"]}


def _renamed(rule: dict[str, Any]) -> dict[str, Any]:
    """Returns the rule with the API's names where the provider's differ by more than the first letter."""
    renamed = dict(rule)
    config = dict(renamed["visibilityConfig"])
    renamed["visibilityConfig"] = {
        "sampledRequestsEnabled": config["sampledRequestsEnabled"],
        "cloudWatchMetricsEnabled": config["cloudwatchMetricsEnabled"],
        "metricName": config["metricName"],
    }
    return renamed


def _associate(call: Creation) -> Created:
    call.client("wafv2").associate_web_acl(**call.params)
    return f"{call.inputs['webAclArn']},{call.inputs['resourceArn']}", {}


KINDS: Final = (
    Kind(
        resource_type="aws:wafv2/webAcl:WebAcl",
        inputs={
            "name": OWN,
            "scope": "Scope",
            "description": "Description",
            "defaultAction": OWN,
            "rules": OWN,
            "visibilityConfig": nested(
                "VisibilityConfig",
                {
                    "sampledRequestsEnabled": "SampledRequestsEnabled",
                    "cloudwatchMetricsEnabled": "CloudWatchMetricsEnabled",
                    "metricName": "MetricName",
                },
            ),
            "dataProtectionConfig": not_emulated("the emulator samples and logs no requests"),
            "tags": tag_list(),
        },
        outputs=("arn", "name"),
        create=_create_acl,
    ),
    Kind(
        resource_type="aws:wafv2/webAclAssociation:WebAclAssociation",
        inputs={"webAclArn": "WebACLArn", "resourceArn": "ResourceArn"},
        create=_associate,
    ),
)
