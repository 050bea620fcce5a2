"""What the rules see of a stack: typed access to resources whose values may not be known yet."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

# The project, and with it the namespace of its configuration.
PROJECT: Final = "orderflow"

API_KEY: Final = "aws:apigateway/apiKey:ApiKey"
API_INTEGRATION: Final = "aws:apigateway/integration:Integration"
API_METHOD: Final = "aws:apigateway/method:Method"
API_RESOURCE: Final = "aws:apigateway/resource:Resource"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
EVENT_SOURCE_MAPPING: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
FUNCTION: Final = "aws:lambda/function:Function"
KMS_KEY: Final = "aws:kms/key:Key"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
PERMISSION: Final = "aws:lambda/permission:Permission"
QUEUE: Final = "aws:sqs/queue:Queue"
REST_API: Final = "aws:apigateway/restApi:RestApi"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
ROLE_POLICY_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
STACK: Final = "pulumi:pulumi:Stack"
STATE_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"
TABLE: Final = "aws:dynamodb/table:Table"
TOPIC: Final = "aws:sns/topic:Topic"


class _Unknown:
    """The type of UNKNOWN."""


UNKNOWN: Final = _Unknown()
"""A value that a preview cannot know: it is judged by the update, before the resource is made."""


def get(source: Mapping[str, Any], *path: str) -> Any:
    """The value under a path of keys: None where there is none, UNKNOWN where it is not known yet."""
    value: Any = source
    for key in path:
        if not isinstance(value, Mapping):
            return None
        try:
            value = value[key]
        except KeyError:
            return None
        except UnknownValueError:
            return UNKNOWN
    return value


def number(source: Mapping[str, Any], key: str, default: float) -> float | None:
    """A number, the provider's default where it is not set, None where it is not known yet."""
    value = get(source, key)
    if value is None:
        return default
    return float(value) if isinstance(value, int | float) else None


def many(value: object) -> list[Any]:
    """What stands in a policy document either alone or in a list, as a list."""
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [value]


def statements(document: object) -> list[Mapping[str, Any]]:
    """The statements of a policy document, given as JSON or as an object."""
    parsed = json.loads(document) if isinstance(document, str) else document
    return many(parsed.get("Statement")) if isinstance(parsed, Mapping) else []


def of_type(stack: Iterable[PolicyResource], *types: str) -> list[PolicyResource]:
    """The resources of these types."""
    return [resource for resource in stack if resource.resource_type in types]


def linked(
    source: PolicyResource, key: str, type_: str, stack: Iterable[PolicyResource]
) -> list[PolicyResource]:
    """The resources of a type that one property refers to.

    The engine knows them also in a preview, where the ARN that stands there is not known yet; a value that
    was written out by hand is looked up among the stack's.
    """
    depended = of_type(source.property_dependencies.get(key, []), type_)
    if depended:
        return depended
    value = get(source.props, key)
    if not isinstance(value, str):
        return []
    return [resource for resource in of_type(stack, type_) if _names(resource, value)]


def _names(resource: PolicyResource, value: str) -> bool:
    arn = get(resource.props, "arn")
    if isinstance(arn, str) and arn and arn in value:
        return True
    return value in [get(resource.props, key) for key in ("name", "url", "id")]
