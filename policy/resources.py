"""Access to the resources of a stack, whose values may be unknown in a preview."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

# The project, which is also the namespace of its configuration.
PROJECT: Final = "orderflow"

ALIAS: Final = "aws:lambda/alias:Alias"
API_KEY: Final = "aws:apigateway/apiKey:ApiKey"
API_INTEGRATION: Final = "aws:apigateway/integration:Integration"
API_DOMAIN: Final = "aws:apigateway/domainName:DomainName"
API_METHOD: Final = "aws:apigateway/method:Method"
API_RESOURCE: Final = "aws:apigateway/resource:Resource"
API_STAGE: Final = "aws:apigateway/stage:Stage"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
EVENT_SOURCE_MAPPING: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
FUNCTION: Final = "aws:lambda/function:Function"
KMS_KEY: Final = "aws:kms/key:Key"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
EVENT_TARGET: Final = "aws:cloudwatch/eventTarget:EventTarget"
PERMISSION: Final = "aws:lambda/permission:Permission"
POLICY: Final = "aws:iam/policy:Policy"
QUEUE: Final = "aws:sqs/queue:Queue"
QUEUE_POLICY: Final = "aws:sqs/queuePolicy:QueuePolicy"
REDRIVE_POLICY: Final = "aws:sqs/redrivePolicy:RedrivePolicy"
REST_API: Final = "aws:apigateway/restApi:RestApi"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
ROLE_POLICY_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
SCHEDULE: Final = "aws:scheduler/schedule:Schedule"
STACK: Final = "pulumi:pulumi:Stack"
STATE_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"
TABLE: Final = "aws:dynamodb/table:Table"
TOPIC: Final = "aws:sns/topic:Topic"
TOPIC_POLICY: Final = "aws:sns/topicPolicy:TopicPolicy"
TOPIC_SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"
WEB_ACL_ASSOCIATION: Final = "aws:wafv2/webAclAssociation:WebAclAssociation"


class _Unknown:
    """The type of UNKNOWN."""


UNKNOWN: Final = _Unknown()
"""A value that is unknown in a preview. The update checks it before it creates the resource."""


def get(source: Mapping[str, Any], *path: str) -> Any:
    """Returns the value under a path of keys, None if there is none, or UNKNOWN."""
    value: Any = source
    for key in path:
        if not isinstance(value, Mapping):
            return None
        try:
            value = _at(value, key)
        except KeyError:
            return None
    return value


def within(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields a value and everything nested in it, each with its path of keys. Skips unknown values."""
    if value is UNKNOWN:
        return
    yield path, value
    if isinstance(value, str):
        return
    if isinstance(value, Mapping):
        for key in value:
            yield from within(_at(value, key), *path, key)
    elif isinstance(value, Sequence):
        for position in range(len(value)):
            yield from within(_at(value, position), *path)


def texts(value: Any) -> list[tuple[tuple[str, ...], str]]:
    """Returns all texts nested in a value, each with its path of keys."""
    return [(path, found) for path, found in within(value) if isinstance(found, str)]


def _at(container: Any, key: str | int) -> Any:
    try:
        return container[key]
    except UnknownValueError:
        return UNKNOWN


def number(source: Mapping[str, Any], key: str, default: float) -> float | None:
    """Returns a number, the provider's default if it is not set, or None if it is unknown."""
    value = get(source, key)
    if value is None:
        return default
    return float(value) if isinstance(value, int | float) else None


def many(value: object) -> list[Any]:
    """Returns a list. Policy documents hold either one value or a list of values."""
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return [value]


def as_object(value: object) -> Mapping[str, Any]:
    """Returns an object, given as such or as JSON. Returns an empty one for everything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def statements(document: object) -> list[Mapping[str, Any]]:
    """Returns the statements of a policy document, given as JSON or as an object."""
    found = many(as_object(document).get("Statement"))
    return [statement for statement in found if isinstance(statement, Mapping)]


def stack_name(resource: PolicyResource) -> str:
    """Returns the name of the stack that a resource belongs to."""
    return resource.urn.split(":")[2]


def of_type(stack: Iterable[PolicyResource], *types: str) -> list[PolicyResource]:
    """Returns the resources of these types."""
    return [resource for resource in stack if resource.resource_type in types]


def linked(
    source: PolicyResource, key: str, type_: str, stack: Iterable[PolicyResource]
) -> list[PolicyResource]:
    """Returns the resources of a type that one property refers to.

    The engine records references, also in a preview where the ARN is unknown. A literal value is compared
    with the names and ARNs of the stack's resources.
    """
    depended = of_type(source.property_dependencies.get(key, []), type_)
    if depended:
        return depended
    found = [text for _, text in texts(get(source.props, key)) if text]
    return [resource for resource in of_type(stack, type_) if any(_names(resource, text) for text in found)]


def functions_behind(
    source: PolicyResource, key: str, stack: Sequence[PolicyResource]
) -> list[PolicyResource]:
    """Returns the functions that a property refers to, directly or by an alias."""
    return linked(source, key, FUNCTION, stack) or [
        function
        for alias in linked(source, key, ALIAS, stack)
        for function in linked(alias, "functionName", FUNCTION, stack)
    ]


def _names(resource: PolicyResource, text: str) -> bool:
    arn = get(resource.props, "arn")
    # The whole ARN: that of `orders` is the beginning of that of `orders-dead-letters`.
    if isinstance(arn, str) and arn and re.search(rf"{re.escape(arn)}(?![\w.-])", text):
        return True
    return text in [get(resource.props, key) for key in ("name", "url", "id")]
