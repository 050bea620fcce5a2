"""Every function on its own: its role, its logs, and a timeout that fits its caller."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import (
    API_INTEGRATION,
    FUNCTION,
    LOG_GROUP,
    ROLE,
    STATE_MACHINE,
    UNKNOWN,
    functions_behind,
    get,
    linked,
    number,
    of_type,
)
from policy.rule import resource_rule, stack_rule

# Seconds after which API Gateway has answered 504 whatever the function still does.
_GATEWAY_TIMEOUT: Final = 29
_LAMBDA_DEFAULT_TIMEOUT: Final = 3

# What runs under a role: type to the property that names the role.
_RUNS_UNDER: Final = {
    FUNCTION: "role",
    STATE_MACHINE: "roleArn",
    "aws:scheduler/schedule:Schedule": "target",
    "aws:cloudwatch/eventTarget:EventTarget": "roleArn",
}


def one_role_each(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """No two functions, machines or schedules share a role: what one is granted the other could do too."""
    users: dict[str, list[PolicyResource]] = defaultdict(list)
    roles = {role.urn: role for role in of_type(stack, ROLE)}
    for resource in of_type(stack, *_RUNS_UNDER):
        key = _RUNS_UNDER[resource.resource_type]
        found = linked(resource, key, ROLE, stack)
        for role in found:
            users[role.urn].append(resource)
        if not found and resource.resource_type == FUNCTION and get(resource.props, key) is not UNKNOWN:
            yield resource, "runs under a role that is not declared in this stack"
    for urn, sharers in users.items():
        if len(sharers) > 1:
            names = ", ".join(sorted(resource.name for resource in sharers))
            yield roles[urn], f"is shared by {names}: give each a role of its own"


def functions_log_to_a_declared_group(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """A group that Lambda makes by itself keeps its logs for ever, and is never deleted."""
    groups = of_type(stack, LOG_GROUP)
    names = [get(group.props, "name") for group in groups]
    for function in of_type(stack, FUNCTION):
        wanted = get(function.props, "loggingConfig", "logGroup")
        if not wanted:
            name = get(function.props, "name")
            wanted = UNKNOWN if name is UNKNOWN else f"/aws/lambda/{name}"
        depends = of_type(function.property_dependencies.get("loggingConfig", []), LOG_GROUP)
        if wanted is not UNKNOWN and wanted not in names and not depends:
            yield function, f"logs to {wanted}, which is not declared in this stack"


def log_groups_expire(args: ResourceValidationArgs) -> Iterator[str]:
    """Every log group says for how many days it keeps what it holds."""
    if args.resource_type == LOG_GROUP and not args.props.get("retentionInDays"):
        yield "keeps its logs for ever: set retentionInDays"


def http_functions_answer_in_time(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """A function behind the API gives up before API Gateway does: its own answer is the better one."""
    seen: set[str] = set()
    for integration in of_type(stack, API_INTEGRATION):
        for function in functions_behind(integration, "uri", stack):
            timeout = number(function.props, "timeout", _LAMBDA_DEFAULT_TIMEOUT)
            if function.urn not in seen and timeout is not None and timeout >= _GATEWAY_TIMEOUT:
                yield (
                    function,
                    f"may run for {timeout:g} s, but API Gateway answers 504 after {_GATEWAY_TIMEOUT} s",
                )
            seen.add(function.urn)


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "one-role-each",
        "Every function, state machine and schedule has a role of its own.",
        one_role_each,
    ),
    stack_rule(
        "functions-log-to-a-declared-group",
        "Every function logs to a log group of this stack.",
        functions_log_to_a_declared_group,
    ),
    resource_rule(
        "log-groups-expire",
        "Every log group has a retention.",
        log_groups_expire,
    ),
    stack_rule(
        "http-functions-answer-in-time",
        "A function that serves HTTP has a timeout below API Gateway's 29 s.",
        http_functions_answer_in_time,
    ),
)
