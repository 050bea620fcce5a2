"""Rules for functions, state machines and schedules: roles, logs and timeouts."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import pulumi
from pulumi_policy import Policy, PolicyResource, ResourceValidationArgs

from policy.resources import (
    API_INTEGRATION,
    FUNCTION,
    LOG_GROUP,
    PROJECT,
    ROLE,
    SCHEDULE,
    STATE_MACHINE,
    UNKNOWN,
    as_object,
    functions_behind,
    get,
    linked,
    many,
    number,
    of_type,
    statements,
)
from policy.rule import resource_rule, stack_rule

# Seconds after which API Gateway responds with 504.
_GATEWAY_TIMEOUT: Final = 29
_LAMBDA_DEFAULT_TIMEOUT: Final = 3

# Type to the property that names its role, and to the service that assumes it.
_RUNS_UNDER: Final = {
    FUNCTION: ("role", "lambda.amazonaws.com"),
    STATE_MACHINE: ("roleArn", "states.amazonaws.com"),
    SCHEDULE: ("target", "scheduler.amazonaws.com"),
}


def one_role_each(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that every role is that of one function, state machine or schedule, and trusts its service.

    A shared role gives each user the permissions of the others. A role without a user can be given to any
    function of the account.
    """
    users: dict[str, list[PolicyResource]] = defaultdict(list)
    all_known = True
    for resource in of_type(stack, *_RUNS_UNDER):
        key, service = _RUNS_UNDER[resource.resource_type]
        found = linked(resource, key, ROLE, stack)
        for role in found:
            users[role.urn].append(resource)
            for trusted in _trusted_services(role):
                if trusted != service:
                    yield role, f"trusts {trusted}, but is the role of {resource.name}: trust {service}"
        if not found and UNKNOWN in (get(resource.props, key), get(resource.props, key, "roleArn")):
            all_known = False
        elif not found and resource.resource_type == FUNCTION:
            yield resource, "runs under a role that is not declared in this stack: declare one"
    for role in of_type(stack, ROLE):
        names = sorted(resource.name for resource in users[role.urn])
        if len(names) > 1:
            yield role, f"is shared by {', '.join(names)}: give each its own role"
        elif not names and all_known:
            yield role, "is used by no function, state machine or schedule of this stack: delete it"


def _trusted_services(role: PolicyResource) -> list[Any]:
    trusts = statements(get(role.props, "assumeRolePolicy"))
    return [name for trust in trusts for name in many(as_object(trust.get("Principal")).get("Service"))]


def functions_log_to_a_declared_group(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that functions log to declared groups. Groups that Lambda creates never expire."""
    groups = of_type(stack, LOG_GROUP)
    names = [get(group.props, "name") for group in groups]
    for function in of_type(stack, FUNCTION):
        wanted = get(function.props, "loggingConfig", "logGroup")
        if not wanted:
            name = get(function.props, "name")
            wanted = UNKNOWN if name is UNKNOWN else f"/aws/lambda/{name}"
        depends = of_type(function.property_dependencies.get("loggingConfig", []), LOG_GROUP)
        if wanted is not UNKNOWN and wanted not in names and not depends:
            yield function, f"logs to {wanted}: declare that log group in this stack"


def log_groups_expire(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that every log group has a retention, and at least the configured one."""
    if args.resource_type != LOG_GROUP:
        return
    days, wanted = args.props.get("retentionInDays"), pulumi.Config(PROJECT).get_int("logRetentionDays")
    if not days:
        yield "keeps its logs permanently: set retentionInDays"
    elif wanted and days < wanted:
        yield f"keeps its logs for {days:g} days: the configuration requires {wanted} (logRetentionDays)"


def http_functions_answer_in_time(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Checks that a function behind the API ends before API Gateway responds with its own error."""
    seen: set[str] = set()
    for integration in of_type(stack, API_INTEGRATION):
        for function in functions_behind(integration, "uri", stack):
            timeout = number(function.props, "timeout", _LAMBDA_DEFAULT_TIMEOUT)
            if function.urn not in seen and timeout is not None and timeout >= _GATEWAY_TIMEOUT:
                yield (
                    function,
                    f"may run for {timeout:g} s, but API Gateway responds with 504 after {_GATEWAY_TIMEOUT} "
                    "s: set a shorter timeout",
                )
            seen.add(function.urn)


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "one-role-each",
        "Every function, state machine and schedule has its own role, and every role has a user.",
        one_role_each,
    ),
    stack_rule(
        "functions-log-to-a-declared-group",
        "Every function logs to a log group of this stack.",
        functions_log_to_a_declared_group,
    ),
    resource_rule(
        "log-groups-expire",
        "Every log group has a retention, and at least the configured one.",
        log_groups_expire,
    ),
    stack_rule(
        "http-functions-answer-in-time",
        "A function that serves HTTP has a timeout below API Gateway's 29 s.",
        http_functions_answer_in_time,
    ),
)
