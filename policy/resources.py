"""What the rules see of a stack: typed access to resources whose values may not be known yet."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi_policy import PolicyResource
from pulumi_policy.proxy import UnknownValueError

# The project, and with it the namespace of its configuration.
PROJECT: Final = "orderflow"

ALIAS: Final = "aws:lambda/alias:Alias"
API_KEY: Final = "aws:apigateway/apiKey:ApiKey"
API_INTEGRATION: Final = "aws:apigateway/integration:Integration"
API_METHOD: Final = "aws:apigateway/method:Method"
API_RESOURCE: Final = "aws:apigateway/resource:Resource"
COMPOSITE_ALARM: Final = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
EVENT_SOURCE_MAPPING: Final = "aws:lambda/eventSourceMapping:EventSourceMapping"
FUNCTION: Final = "aws:lambda/function:Function"
FUNCTION_URL: Final = "aws:lambda/functionUrl:FunctionUrl"
HTTP_API: Final = "aws:apigatewayv2/api:Api"
HTTP_ROUTE: Final = "aws:apigatewayv2/route:Route"
KMS_KEY: Final = "aws:kms/key:Key"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
PARAMETER: Final = "aws:ssm/parameter:Parameter"
PERMISSION: Final = "aws:lambda/permission:Permission"
QUEUE: Final = "aws:sqs/queue:Queue"
REDRIVE_POLICY: Final = "aws:sqs/redrivePolicy:RedrivePolicy"
REST_API: Final = "aws:apigateway/restApi:RestApi"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
ROLE_POLICY_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
STACK: Final = "pulumi:pulumi:Stack"
STATE_MACHINE: Final = "aws:sfn/stateMachine:StateMachine"
TABLE: Final = "aws:dynamodb/table:Table"
TOPIC: Final = "aws:sns/topic:Topic"
TOPIC_SUBSCRIPTION: Final = "aws:sns/topicSubscription:TopicSubscription"


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
            value = _at(value, key)
        except KeyError:
            return None
    return value


def within(value: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A value and all that it holds, however deep, each with the names on the way; nothing unknown."""
    if value is UNKNOWN:
        return
    yield path, value
    if isinstance(value, Mapping):
        for key in value:
            yield from within(_at(value, key), *path, key)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for position in range(len(value)):
            yield from within(_at(value, position), *path)


def texts(value: Any) -> list[tuple[tuple[str, ...], str]]:
    """All texts in a value, however deep, each with the names on the way."""
    return [(path, found) for path, found in within(value) if isinstance(found, str)]


def _at(container: Any, key: str | int) -> Any:
    try:
        return container[key]
    except UnknownValueError:
        return UNKNOWN


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


def as_object(value: object) -> Mapping[str, Any]:
    """An object that is given as such or as JSON; an empty one for whatever is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def statements(document: object) -> list[Mapping[str, Any]]:
    """The statements of a policy document, given as JSON or as an object; none for anything else."""
    found = many(as_object(document).get("Statement"))
    return [statement for statement in found if isinstance(statement, Mapping)]


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
    found = [text for _, text in texts(get(source.props, key)) if text]
    return [resource for resource in of_type(stack, type_) if any(_names(resource, text) for text in found)]


def functions_behind(
    source: PolicyResource, key: str, stack: Sequence[PolicyResource]
) -> list[PolicyResource]:
    """The functions that a property refers to, by themselves or by an alias."""
    return linked(source, key, FUNCTION, stack) or [
        function
        for alias in linked(source, key, ALIAS, stack)
        for function in linked(alias, "functionName", FUNCTION, stack)
    ]


def _names(resource: PolicyResource, text: str) -> bool:
    arn = get(resource.props, "arn")
    # As a whole: the ARN of `orders` is how that of `orders-dead-letters` begins.
    if isinstance(arn, str) and arn and re.search(rf"{re.escape(arn)}(?![\w.-])", text):
        return True
    return text in [get(resource.props, key) for key in ("name", "url", "id")]
