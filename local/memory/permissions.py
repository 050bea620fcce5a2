"""Compares what a function's role grants with the AWS calls that its code makes.

    grants = grants_of_code(run, "orders_api")
    needed = permissions_for(calls, Place(region=..., account=...))
    compare(grants, needed)  ->  unused grants, and calls without a grant

The calls may go to another account than the one that the program was run for. `with_variable_names` replaces
each resource by the environment variable that names it, which is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from local.engine.program import ProgramRun, Resource
from policy.resources import EVENT_SOURCE_MAPPING, FUNCTION, ROLE, ROLE_POLICY, many, statements


@dataclass(frozen=True, kw_only=True)
class AwsCall:
    """One AWS call."""

    service: str  # botocore's name
    operation: str  # the API's name
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Permission:
    """One action on one resource, as in an IAM policy."""

    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where grants and calls differ."""

    unused: frozenset[Permission]  # granted, not needed
    ungranted: frozenset[Permission]  # needed, not granted


def compare(granted: Iterable[Permission], needed: Iterable[Permission]) -> Difference:
    """Returns unused grants and missing ones. A resource that ends in `*` matches by its prefix."""
    granted, needed = set(granted), set(needed)
    return Difference(
        unused=frozenset(grant for grant in granted if not any(_covers(grant, need) for need in needed)),
        ungranted=frozenset(need for need in needed if not any(_covers(grant, need) for grant in granted)),
    )


def _covers(grant: Permission, need: Permission) -> bool:
    if grant.action != need.action:
        return False
    if grant.resource.endswith("*"):
        return need.resource.startswith(grant.resource[:-1])
    return grant.resource == need.resource


# --- Permissions that calls need --------------------------------------------------------------------------

# A transaction needs the permissions of its parts:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
_TRANSACTION_PARTS: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
_TABLE_OPERATIONS: Final = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """The account and region of calls."""

    region: str
    account: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


def permissions_for(calls: Iterable[AwsCall], place: Place) -> set[Permission]:
    """Returns the permissions that calls need. Raises LookupError for a call that is not listed here."""
    return {permission for call in calls for permission in _permissions_of(call, place)}


def _permissions_of(call: AwsCall, place: Place) -> Iterator[Permission]:
    permissions = _SERVICES.get(call.service)
    found = list(permissions(call, place)) if permissions else []
    if not found:
        raise LookupError(
            f"the permissions of {call.service} {call.operation} are not listed. Add them to {__name__}."
        )
    yield from found


def _of_dynamodb(call: AwsCall, place: Place) -> Iterator[Permission]:
    def on(table: str, action: str, index: str | None = None) -> Permission:
        arn = table if table.startswith("arn:") else place.arn("dynamodb", f"table/{table}")
        return Permission(f"dynamodb:{action}", f"{arn}/index/{index}" if index else arn)

    if call.operation in _TABLE_OPERATIONS:
        yield on(call.parameters["TableName"], call.operation, call.parameters.get("IndexName"))
    elif call.operation in ("BatchGetItem", "BatchWriteItem"):
        for table in call.parameters["RequestItems"]:
            yield on(table, call.operation)
    elif call.operation in ("TransactWriteItems", "TransactGetItems"):
        for item in call.parameters["TransactItems"]:
            for part, parameters in item.items():
                yield on(parameters["TableName"], _TRANSACTION_PARTS[part])


def _of_sqs(call: AwsCall, place: Place) -> Iterator[Permission]:
    action = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}.get(
        call.operation, call.operation
    )
    if "QueueUrl" in call.parameters:
        name = call.parameters["QueueUrl"].rstrip("/").rpartition("/")[2]
        yield Permission(f"sqs:{action}", place.arn("sqs", name))


def _of_events(call: AwsCall, place: Place) -> Iterator[Permission]:
    if call.operation == "PutEvents":
        for entry in call.parameters["Entries"]:
            bus = entry.get("EventBusName", "default")
            arn = bus if bus.startswith("arn:") else place.arn("events", f"event-bus/{bus}")
            yield Permission("events:PutEvents", arn)


def _of_step_functions(call: AwsCall, _place: Place) -> Iterator[Permission]:
    for key in ("stateMachineArn", "executionArn"):
        if key in call.parameters:
            yield Permission(f"states:{call.operation}", call.parameters[key])


def _of_cloudwatch(call: AwsCall, _place: Place) -> Iterator[Permission]:
    # CloudWatch has no resources for metrics: the actions are granted on "*".
    if call.operation in ("GetMetricData", "GetMetricStatistics"):
        yield Permission(f"cloudwatch:{call.operation}", "*")


def _of_secrets_manager(call: AwsCall, _place: Place) -> Iterator[Permission]:
    if call.operation == "GetSecretValue":
        yield Permission("secretsmanager:GetSecretValue", call.parameters["SecretId"])


_SERVICES: Final[Mapping[str, Callable[[AwsCall, Place], Iterator[Permission]]]] = {
    "cloudwatch": _of_cloudwatch,
    "dynamodb": _of_dynamodb,
    "events": _of_events,
    "secretsmanager": _of_secrets_manager,
    "sqs": _of_sqs,
    "stepfunctions": _of_step_functions,
}


def with_variable_names(
    permissions: Iterable[Permission], environment: Mapping[str, str], place: Place
) -> set[Permission]:
    """Returns the permissions with resources named by a function's environment variables.

    For example `ORDERS_TABLE/index/byUser`. A resource without a variable keeps its ARN.
    """
    variables = dict(_resources(environment, place))

    def name(resource: str) -> str:
        for arn, variable in variables.items():
            if resource == arn or resource.startswith((f"{arn}/", f"{arn}:")):
                return variable + resource.removeprefix(arn)
        return resource

    return {Permission(permission.action, name(permission.resource)) for permission in permissions}


def _resources(environment: Mapping[str, str], place: Place) -> Iterator[tuple[str, str]]:
    """Yields the ARN of each resource that a variable names, with the variable."""
    for variable, value in environment.items():
        if variable.endswith("_TABLE"):
            yield place.arn("dynamodb", f"table/{value}"), variable
        elif variable.endswith("_QUEUE_URL"):
            yield place.arn("sqs", value.rpartition("/")[2]), variable
        elif variable == "EVENT_BUS_NAME":
            yield place.arn("events", f"event-bus/{value}"), variable
        elif variable == "STATE_MACHINE_ARN":
            yield value, variable
            yield value.replace(":stateMachine:", ":execution:"), "executions of STATE_MACHINE_ARN"
        elif variable.endswith("_ARN"):
            yield value, variable


# --- Granted permissions ----------------------------------------------------------------------------------


def grants_of_role(run: ProgramRun, role: str) -> set[Permission]:
    """Returns the permissions in the inline policies of a role, by the role's logical name."""
    name = run.get(ROLE, role).outputs["name"]
    return {
        permission
        for policy in run.of_type(ROLE_POLICY)
        if policy.inputs["role"] == name
        for permission in permissions_in(policy)
    }


def permissions_in(policy: Resource) -> Iterator[Permission]:
    """Yields the permissions in one role policy."""
    for statement in statements(policy.inputs["policy"]):
        assert statement["Effect"] == "Allow"
        for action in many(statement["Action"]):
            for resource in many(statement["Resource"]):
                yield Permission(action, resource)


def grants_of_code(run: ProgramRun, function: str) -> set[Permission]:
    """Returns the permissions of a function's role that are for the function's code.

    Excludes those that Lambda uses: writing logs, sending traces, and polling the function's queue.
    """
    arn = run.get(FUNCTION, function).outputs["arn"]
    polled = {
        mapping.inputs["eventSourceArn"]
        for mapping in run.of_type(EVENT_SOURCE_MAPPING)
        if mapping.inputs["functionName"] == arn
    }
    return {
        permission
        for permission in grants_of_role(run, f"{function}-role")
        if not permission.action.startswith(("logs:", "xray:"))
        and not (permission.action.startswith("sqs:") and permission.resource in polled)
    }


def grants_by_variable(run: ProgramRun, place: Place) -> dict[str, frozenset[Permission]]:
    """Returns the permissions of each function's code, with resources named by its environment variables.

    `place` is the account and region of the run.
    """
    return {
        function.name: frozenset(
            with_variable_names(
                grants_of_code(run, function.name), function.inputs["environment"]["variables"], place
            )
        )
        for function in run.of_type(FUNCTION)
    }
