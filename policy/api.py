"""Rules for the API: who may call it, and what a request reaches."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.exceptions import OPEN_METHODS
from policy.resources import (
    API_INTEGRATION,
    API_METHOD,
    API_RESOURCE,
    API_STAGE,
    PROJECT,
    REST_API,
    UNKNOWN,
    WEB_ACL_ASSOCIATION,
    functions_behind,
    get,
    linked,
    of_type,
)
from policy.rule import resource_rule, stack_rule

_PREFLIGHT: Final = "OPTIONS"


def methods_require_a_key(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that every method requires a key, except for preflights and the table of exceptions."""
    for method in of_type(stack, API_METHOD):
        verb, needs_key = get(method.props, "httpMethod"), get(method.props, "apiKeyRequired")
        if verb == _PREFLIGHT or needs_key is True or UNKNOWN in (verb, needs_key):
            continue
        path = _path(method, stack)
        # HEAD returns the headers of GET.
        read = "GET" if verb == "HEAD" else verb
        if path is not UNKNOWN and (read, path) not in OPEN_METHODS:
            where = path or "a path outside this stack"
            yield (
                method,
                f"allows {verb} {where} without a key: set apiKeyRequired, or give the reason in "
                "policy/exceptions.py (OPEN_METHODS)",
            )


def _path(method: PolicyResource, stack: Sequence[PolicyResource]) -> Any:
    """Returns the path of a method, built from the declared resources: in a preview paths are unknown.

    Returns None for a path outside this stack, and UNKNOWN if a part is unknown.
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


def methods_reach_functions_of_the_stack(
    stack: list[PolicyResource],
) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that a preflight reaches nothing, and every other method one function of this stack.

    The function is invoked under its Lambda permission, not under a role of the integration.
    """
    for integration in of_type(stack, API_INTEGRATION):
        verb, kind, uri, role = (
            get(integration.props, key) for key in ("httpMethod", "type", "uri", "credentials")
        )
        wanted = "MOCK" if verb == _PREFLIGHT else "AWS_PROXY"
        if UNKNOWN not in (verb, kind) and kind != wanted:
            yield integration, f"answers {verb} with an integration of type {kind}: use {wanted}"
        elif kind == "AWS_PROXY" and uri is not UNKNOWN and not functions_behind(integration, "uri", stack):
            yield integration, f"sends requests to {uri}: use the invoke ARN of a function of this stack"
        if role and role is not UNKNOWN:
            yield integration, f"runs under the role {role}: delete credentials, and declare a Permission"


def apis_declare_their_methods(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that an API imports no methods, which the other rules cannot check, and reads keys itself."""
    if args.resource_type == REST_API:
        if args.props.get("body"):
            yield "imports methods from a body, which no rule checks: declare each method instead"
        if (source := args.props.get("apiKeySource") or "HEADER") != "HEADER":
            yield f"takes API keys from {source}: set apiKeySource to HEADER"


def stages_are_filtered_as_configured(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that every stage has a web ACL if the configuration requires a firewall."""
    if not pulumi.Config(PROJECT).get_bool("firewall"):
        return
    associations = of_type(stack, WEB_ACL_ASSOCIATION)
    filtered = {stage.urn for item in associations for stage in linked(item, "resourceArn", API_STAGE, stack)}
    for stage in of_type(stack, API_STAGE):
        if stage.urn not in filtered:
            yield stage, "has no web ACL: the configuration requires one (firewall)"


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "methods-require-a-key",
        "Every method of the API requires an API key, except for the documented ones.",
        methods_require_a_key,
    ),
    stack_rule(
        "methods-reach-functions-of-the-stack",
        "Methods invoke functions of this stack. Preflights invoke nothing.",
        methods_reach_functions_of_the_stack,
    ),
    resource_rule(
        "apis-declare-their-methods",
        "APIs declare each method, and take API keys from the header.",
        apis_declare_their_methods,
    ),
    stack_rule(
        "stages-are-filtered-as-configured",
        "Stages have a web ACL if the stack's configuration requires a firewall.",
        stages_are_filtered_as_configured,
    ),
)
