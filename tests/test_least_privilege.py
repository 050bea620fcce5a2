"""What the embedded AWS does not enforce, checked over the recorded program, and the comparison itself.

`tests/e2e/test_least_privilege.py` compares each function's grants with the calls of its code.
"""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest

from local.engine.program import ProgramRun, Resource
from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.permissions import (
    AwsCall,
    Difference,
    Permission,
    Place,
    as_told,
    compare,
    grants_of_role,
    permissions_for,
)
from policy.resources import (
    API_INTEGRATION,
    EVENT_SOURCE_MAPPING,
    FUNCTION,
    PERMISSION,
    QUEUE,
    REST_API,
    ROLE,
    ROLE_POLICY,
    STATE_MACHINE,
    statements,
)

SCHEDULE = "aws:scheduler/schedule:Schedule"
SCHEDULE_GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
PLACE = Place(region=REGION, account=ACCOUNT_ID)
POLLING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

each_stack = pytest.mark.parametrize("stack", ["dev", "prod"])


def arns(run: ProgramRun, *functions: str) -> set[str]:
    return {run.get(FUNCTION, function).outputs["arn"] for function in functions}


def trust_of(role: Resource) -> dict[str, Any]:
    """The one statement of a role's trust policy."""
    (statement,) = statements(role.inputs["assumeRolePolicy"])
    return dict(statement)


def role_by_arn(run: ProgramRun, arn: str) -> Resource:
    (role,) = [role for role in run.of_type(ROLE) if role.outputs["arn"] == arn]
    return role


# --- Step Functions ---------------------------------------------------------------------------------------


@each_stack
def test_the_state_machine_may_invoke_exactly_the_functions_that_it_names(stack: str) -> None:
    run = declare_test_stack(stack)
    machine = run.get(STATE_MACHINE, "order_fulfillment")
    states = json.loads(machine.inputs["definition"])["States"].values()
    named = {state["Arguments"]["FunctionName"] for state in states if state["Type"] == "Task"}
    tasks = ("validate_order", "fulfill_order", "release_order", "update_order_status")
    assert named == arns(run, *tasks)
    grants = grants_of_role(run, "order_fulfillment-role")
    invokes = {grant for grant in grants if not grant.action.startswith(("logs:", "xray:"))}
    assert invokes == {Permission("lambda:InvokeFunction", arn) for arn in named}
    assert machine.inputs["roleArn"] == run.get(ROLE, "order_fulfillment-role").outputs["arn"]


@each_stack
def test_only_state_machines_of_this_name_in_this_stack_may_assume_its_role(stack: str) -> None:
    trust = trust_of(declare_test_stack(stack).get(ROLE, "order_fulfillment-role"))
    assert trust["Principal"] == {"Service": "states.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT_ID},
        "ArnLike": {
            "aws:SourceArn": PLACE.arn("states", f"stateMachine:orderflow-order_fulfillment-{stack}-*")
        },
    }
    machine = declare_test_stack(stack).get(STATE_MACHINE, "order_fulfillment").outputs["arn"]
    assert fnmatch.fnmatchcase(machine, trust["Condition"]["ArnLike"]["aws:SourceArn"])


# --- SQS to Lambda ----------------------------------------------------------------------------------------


@each_stack
def test_the_consumer_may_poll_its_queue_and_nobody_else_may_poll_anything(stack: str) -> None:
    run = declare_test_stack(stack)
    queue = run.get(QUEUE, "orders").outputs["arn"]
    (mapping,) = run.of_type(EVENT_SOURCE_MAPPING)
    assert mapping.inputs["eventSourceArn"] == queue
    assert {mapping.inputs["functionName"]} == arns(run, "order_consumer")
    polls = {
        (role.name, grant)
        for role in run.of_type(ROLE)
        for grant in grants_of_role(run, role.name)
        if grant.action in POLLING
    }
    assert polls == {("order_consumer-role", Permission(action, queue)) for action in POLLING}


# --- API Gateway to Lambda --------------------------------------------------------------------------------


@each_stack
def test_the_api_may_invoke_exactly_the_functions_behind_its_routes_from_its_stage(stack: str) -> None:
    run = declare_test_stack(stack)
    behind = {
        function.outputs["arn"]
        for function in run.of_type(FUNCTION)
        for integration in run.of_type(API_INTEGRATION)
        if integration.inputs.get("uri") == function.outputs["invokeArn"]
    }
    assert behind == arns(run, "users_api", "orders_api", "products_api", "service_api")
    stage = run.get(REST_API, "orderflow").outputs["executionArn"] + "/v1/*"
    permissions = [
        (item.inputs["action"], item.inputs["principal"], item.inputs["function"], item.inputs["sourceArn"])
        for item in run.of_type(PERMISSION)
    ]
    assert sorted(permissions) == sorted(
        ("lambda:InvokeFunction", "apigateway.amazonaws.com", arn, stage) for arn in behind
    )


# --- Roles ------------------------------------------------------------------------------------------------


@each_stack
def test_every_role_is_trusted_by_the_service_that_runs_under_it_and_none_is_left_over(stack: str) -> None:
    run = declare_test_stack(stack)
    expected = {item.inputs["role"]: "lambda.amazonaws.com" for item in run.of_type(FUNCTION)}
    expected |= {item.inputs["roleArn"]: "states.amazonaws.com" for item in run.of_type(STATE_MACHINE)}
    expected |= {
        item.inputs["target"]["roleArn"]: "scheduler.amazonaws.com" for item in run.of_type(SCHEDULE)
    }
    assert {
        role.outputs["arn"]: trust_of(role)["Principal"]["Service"] for role in run.of_type(ROLE)
    } == expected


@each_stack
def test_every_role_policy_allows_something_and_belongs_to_a_role_of_the_stack(stack: str) -> None:
    run = declare_test_stack(stack)
    roles = {role.outputs["name"] for role in run.of_type(ROLE)}
    for policy in run.of_type(ROLE_POLICY):
        assert policy.inputs["role"] in roles
        assert {statement["Effect"] for statement in statements(policy.inputs["policy"])} == {"Allow"}


@each_stack
def test_every_role_is_held_in_the_boundary_that_is_configured_and_in_none_otherwise(stack: str) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT_ID}:policy/orderflow-boundary-{stack}"
    bounded = declare_test_stack(stack, permissionsBoundaryArn=boundary).of_type(ROLE)
    assert {role.inputs["permissionsBoundary"] for role in bounded} == {boundary}
    assert not any(role.inputs.get("permissionsBoundary") for role in declare_test_stack(stack).of_type(ROLE))


@each_stack
def test_a_schedule_may_invoke_only_its_target_and_only_from_its_own_group(stack: str) -> None:
    run = declare_test_stack(stack)
    for schedule in run.of_type(SCHEDULE):
        target = schedule.inputs["target"]
        role = role_by_arn(run, target["roleArn"])
        allowed = {Permission("lambda:InvokeFunction", target["arn"])}
        if dead_letters := target.get("deadLetterConfig"):
            allowed.add(Permission("sqs:SendMessage", dead_letters["arn"]))
        assert grants_of_role(run, role.name) == allowed
        (group,) = [
            group
            for group in run.of_type(SCHEDULE_GROUP)
            if group.outputs["name"] == schedule.inputs["groupName"]
        ]
        conditions = {
            key: value for tests in trust_of(role)["Condition"].values() for key, value in tests.items()
        }
        assert conditions == {"aws:SourceAccount": ACCOUNT_ID, "aws:SourceArn": group.outputs["arn"]}


# --- The comparison itself --------------------------------------------------------------------------------

TABLE = PLACE.arn("dynamodb", "table/orders")
OTHER = PLACE.arn("dynamodb", "table/other")
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/orders"
TRANSACTION = [
    {"Update": {"TableName": "orders"}},
    {"ConditionCheck": {"TableName": "orders"}},
    {"Put": {"TableName": "other"}},
]
EVENT = {"EventBusName": "orderflow"}

# Service, operation, parameters, and the actions and resources that IAM asks for.
NEEDS: list[tuple[str, str, dict[str, Any], set[tuple[str, str]]]] = [
    ("dynamodb", "GetItem", {"TableName": "orders"}, {("dynamodb:GetItem", TABLE)}),
    ("dynamodb", "Query", {"TableName": "orders"}, {("dynamodb:Query", TABLE)}),
    (
        "dynamodb",
        "Query",
        {"TableName": "orders", "IndexName": "byUser"},
        {("dynamodb:Query", f"{TABLE}/index/byUser")},
    ),
    (
        "dynamodb",
        "BatchGetItem",
        {"RequestItems": {"orders": {}, "other": {}}},
        {("dynamodb:BatchGetItem", TABLE), ("dynamodb:BatchGetItem", OTHER)},
    ),
    (
        "dynamodb",
        "TransactWriteItems",
        {"TransactItems": TRANSACTION},
        {("dynamodb:UpdateItem", TABLE), ("dynamodb:ConditionCheckItem", TABLE), ("dynamodb:PutItem", OTHER)},
    ),
    (
        "sqs",
        "SendMessageBatch",
        {"QueueUrl": QUEUE_URL},
        {("sqs:SendMessage", PLACE.arn("sqs", "orders"))},
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [EVENT, EVENT]},
        {("events:PutEvents", PLACE.arn("events", "event-bus/orderflow"))},
    ),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:m"}, {("states:StartExecution", "arn:m")}),
    ("cloudwatch", "GetMetricStatistics", {}, {("cloudwatch:GetMetricStatistics", "*")}),
    ("secretsmanager", "GetSecretValue", {"SecretId": "arn:s"}, {("secretsmanager:GetSecretValue", "arn:s")}),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "needed"), NEEDS)
def test_a_call_needs_the_actions_that_iam_asks_for(
    service: str, operation: str, parameters: dict[str, Any], needed: set[tuple[str, str]]
) -> None:
    call = AwsCall(service=service, operation=operation, parameters=parameters)
    assert permissions_for([call], PLACE) == {Permission(*pair) for pair in needed}


@pytest.mark.parametrize(
    "call",
    [
        AwsCall(service="s3", operation="GetObject", parameters={"Bucket": "b"}),
        AwsCall(service="dynamodb", operation="DescribeTable", parameters={"TableName": "orders"}),
    ],
)
def test_a_call_that_is_not_known_is_not_passed_over(call: AwsCall) -> None:
    with pytest.raises(LookupError, match=call.operation):
        permissions_for([call], PLACE)


def test_the_comparison_finds_what_is_granted_in_vain_and_what_is_not_granted() -> None:
    used, vain, missing = (Permission(f"dynamodb:{name}", TABLE) for name in ("GetItem", "Scan", "PutItem"))
    difference = compare([used, vain], [used, missing])
    assert difference.unused == {vain}
    assert difference.ungranted == {missing}
    assert compare([used], [used]) == Difference(unused=frozenset(), ungranted=frozenset())


def test_a_grant_on_an_index_is_none_on_its_table() -> None:
    index, table = (Permission("dynamodb:Query", arn) for arn in (f"{TABLE}/index/byUser", TABLE))
    assert compare([index], [table]).ungranted == {table}


def test_a_grant_on_all_executions_of_a_machine_covers_one_of_them() -> None:
    executions = PLACE.arn("states", "execution:flow")
    grant = Permission("states:DescribeExecution", f"{executions}:*")
    one = Permission("states:DescribeExecution", f"{executions}:order-1")
    assert compare([grant], [one]) == Difference(unused=frozenset(), ungranted=frozenset())
    other = Permission("states:DescribeExecution", PLACE.arn("states", "execution:other:order-1"))
    assert compare([grant], [other]).ungranted == {other}


def test_resources_are_compared_by_what_tells_a_function_of_them() -> None:
    environment = {
        "ORDERS_TABLE": "orders",
        "ORDERS_QUEUE_URL": QUEUE_URL,
        "EVENT_BUS_NAME": "orderflow",
        "STATE_MACHINE_ARN": PLACE.arn("states", "stateMachine:flow"),
        "POWERTOOLS_SERVICE_NAME": "orders",
    }
    names = {
        TABLE: "ORDERS_TABLE",
        f"{TABLE}/index/byUser": "ORDERS_TABLE/index/byUser",
        f"{TABLE}-2": f"{TABLE}-2",
        PLACE.arn("sqs", "orders"): "ORDERS_QUEUE_URL",
        PLACE.arn("events", "event-bus/orderflow"): "EVENT_BUS_NAME",
        PLACE.arn("states", "stateMachine:flow"): "STATE_MACHINE_ARN",
        PLACE.arn("states", "execution:flow:*"): "executions of STATE_MACHINE_ARN:*",
        OTHER: OTHER,
        "*": "*",
    }
    for arn, name in names.items():
        assert as_told([Permission("a:B", arn)], environment, PLACE) == {Permission("a:B", name)}
