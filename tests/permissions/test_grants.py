"""The grants and the trust policy of every role. `test_calls.py` compares grants and calls of functions."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest

from components.packaging import function_names
from local.engine.program import ProgramRun, Resource
from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.permissions import (
    Permission,
    Place,
    grants_of_role,
)
from local.memory.state_machine import FUNCTIONS
from policy.resources import (
    API_INTEGRATION,
    EVENT_SOURCE_MAPPING,
    FUNCTION,
    LOG_GROUP,
    PERMISSION,
    QUEUE,
    REST_API,
    ROLE,
    ROLE_POLICY,
    STATE_MACHINE,
    TABLE,
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
    """Returns the statement of a role's trust policy."""
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
    named = {
        state["Arguments"]["FunctionName"] for state in states if "Payload" in state.get("Arguments", {})
    }
    assert named == arns(run, *FUNCTIONS.values())
    grants = grants_of_role(run, "order_fulfillment-role")
    invokes = {grant for grant in grants if not grant.action.startswith(("logs:", "xray:", "dynamodb:"))}
    assert invokes == {Permission("lambda:InvokeFunction", arn) for arn in named}
    assert machine.inputs["roleArn"] == run.get(ROLE, "order_fulfillment-role").outputs["arn"]


@each_stack
def test_the_state_machine_may_update_exactly_the_attributes_that_its_request_names(stack: str) -> None:
    run = declare_test_stack(stack)
    machine = run.get(STATE_MACHINE, "order_fulfillment")
    (request,) = (
        state["Arguments"]
        for state in json.loads(machine.inputs["definition"])["States"].values()
        if state.get("Resource", "").endswith(":dynamodb:updateItem")
    )
    orders = run.get(TABLE, "orders").outputs
    assert request["TableName"] == orders["name"]
    expressions = f"{request['UpdateExpression']} {request['ConditionExpression']}"
    words = set(re.findall(r"(?<![:\w])[a-z]\w*(?![\w(])", expressions.replace("#status", "status")))
    assert request["ExpressionAttributeNames"] == {"#status": "status"}
    (statement,) = statements(run.get(ROLE_POLICY, "order_fulfillment-updates-orders").inputs["policy"])
    assert statement == {
        "Effect": "Allow",
        "Action": ["dynamodb:UpdateItem"],
        "Resource": [orders["arn"]],
        "Condition": {
            "ForAllValues:StringEquals": {"dynamodb:Attributes": sorted({*request["Key"], *words})},
            "StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"},
        },
    }
    assert "ReturnValues" not in request


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
def test_only_the_consumer_may_poll_and_only_its_queue(stack: str) -> None:
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
def test_the_api_may_invoke_exactly_the_functions_of_its_routes_from_its_stage(stack: str) -> None:
    run = declare_test_stack(stack)
    invoked = {
        function.outputs["arn"]
        for function in run.of_type(FUNCTION)
        for integration in run.of_type(API_INTEGRATION)
        if integration.inputs.get("uri") == function.outputs["invokeArn"]
    }
    assert invoked == arns(run, *(name for name in function_names() if name.endswith("_api")))
    stage = run.get(REST_API, "orderflow").outputs["executionArn"] + "/v1/*"
    permissions = [
        (item.inputs["action"], item.inputs["principal"], item.inputs["function"], item.inputs["sourceArn"])
        for item in run.of_type(PERMISSION)
    ]
    assert sorted(permissions) == sorted(
        ("lambda:InvokeFunction", "apigateway.amazonaws.com", arn, stage) for arn in invoked
    )


# --- Roles ------------------------------------------------------------------------------------------------


@each_stack
def test_every_role_is_used_and_trusts_the_service_that_uses_it(stack: str) -> None:
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
def test_every_role_has_the_permissions_boundary_exactly_if_it_is_configured(stack: str) -> None:
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


# --- Logs and traces --------------------------------------------------------------------------------------


@each_stack
def test_a_function_writes_only_to_its_own_log_group(stack: str) -> None:
    run = declare_test_stack(stack)
    for function in run.of_type(FUNCTION):
        group = run.get(LOG_GROUP, f"{function.name}-logs").outputs["arn"]
        grants = grants_of_role(run, f"{function.name}-role")
        assert {grant for grant in grants if grant.action.startswith(("logs:", "xray:"))} == {
            Permission("logs:CreateLogStream", f"{group}:*"),
            Permission("logs:PutLogEvents", f"{group}:*"),
            Permission("xray:PutTraceSegments", "*"),
            Permission("xray:PutTelemetryRecords", "*"),
        }
