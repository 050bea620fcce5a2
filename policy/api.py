"""What the API asks of a caller."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.exceptions import OPEN_METHODS
from policy.resources import (
    API_METHOD,
    API_RESOURCE,
    FUNCTION_URL,
    HTTP_API,
    HTTP_ROUTE,
    REST_API,
    UNKNOWN,
    get,
    linked,
    of_type,
)
from policy.rule import resource_rule, stack_rule


def methods_require_a_key(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Only the methods in the table of exceptions, and preflights, are open to a caller without a key."""
    for method in of_type(stack, API_METHOD):
        verb, needs_key = get(method.props, "httpMethod"), get(method.props, "apiKeyRequired")
        if verb == "OPTIONS" or needs_key is True or UNKNOWN in (verb, needs_key):
            continue
        path = _path(method, stack)
        if path is not UNKNOWN and (verb, path) not in OPEN_METHODS:
            where = path or "a path that is not in this stack"
            yield method, f"lets everybody {verb} {where} without a key (policy/exceptions.py: OPEN_METHODS)"


def _path(method: PolicyResource, stack: Sequence[PolicyResource]) -> Any:
    """The path of a method, put together from the declared resources: a preview knows no path otherwise.

    None where it leads out of this stack, UNKNOWN where a part of it is not known yet.
    """
    parts: list[Any] = []
    current, key = method, "resourceId"
    while above := linked(current, key, API_RESOURCE, stack):
        current, key = above[0], "parentId"
        parts.append(get(current.props, "pathPart"))
    start, apis = get(current.props, key), of_type(stack, REST_API)
    at_root = bool(of_type(current.property_dependencies.get(key, []), REST_API))
    if UNKNOWN in parts or (start is UNKNOWN and not at_root):
        return UNKNOWN
    if at_root or start in [get(api.props, "rootResourceId") for api in apis]:
        return "/" + "/".join(str(part) for part in reversed(parts))
    return None


def no_way_round_the_key(args: ResourceValidationArgs) -> Iterator[str]:
    """What answers the internet beside the API lets nobody in without a key or a signature either."""
    if args.resource_type in (FUNCTION_URL, HTTP_ROUTE):
        if (args.props.get("authorizationType") or "NONE") == "NONE":
            yield "lets everybody in: set authorizationType"
    elif args.resource_type == HTTP_API and args.props.get("target"):
        # https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html (quick create)
        yield "has a route that lets everybody in: declare its routes instead of its target"


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "methods-require-a-key",
        "Every method of the API requires an API key, but for the documented ones.",
        methods_require_a_key,
    ),
    resource_rule(
        "no-way-round-the-key",
        "Function URLs and the routes of HTTP APIs authorize their callers.",
        no_way_round_the_key,
    ),
)
