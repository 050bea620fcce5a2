"""The state machine: its definition, type, logs, traces and permissions."""

import json

import pytest

from components.workflow import DefinitionError, fill_in, placeholders
from local.engine.stacks import declare_test_stack
from local.memory.state_machine import FUNCTIONS
from tests.components.recorded import (
    FUNCTION,
    LOG_GROUP,
    ROLE_POLICY,
    STACKS,
    depends_on,
)

TEMPLATE = '{"Resource": "arn:${partition}:x", "F": "${taskArn}", "J": "{% $states.input.a & $parse($x) %}"}'
VALUES = {"partition": "aws", "taskArn": "arn:aws:lambda:function:task"}


def test_every_name_in_braces_is_replaced_and_jsonata_is_not_changed() -> None:
    filled = json.loads(fill_in(TEMPLATE, VALUES))
    assert filled == {
        "Resource": "arn:aws:x",
        "F": "arn:aws:lambda:function:task",
        "J": "{% $states.input.a & $parse($x) %}",
    }


def test_a_placeholder_without_a_value_is_an_error_that_names_it() -> None:
    with pytest.raises(
        DefinitionError, match=r"^The state machine uses \$\{taskArn\}, which has no value\.$"
    ):
        fill_in(TEMPLATE, {"partition": "aws"})


def test_a_value_without_a_placeholder_is_an_error_that_names_it() -> None:
    with pytest.raises(DefinitionError, match=r"^The state machine does not use \$\{otherArn\}\.$"):
        fill_in(TEMPLATE, {**VALUES, "otherArn": "x"})


def test_a_file_that_is_not_json_is_an_error() -> None:
    with pytest.raises(DefinitionError, match=r"^The state machine is not valid JSON: .*\.$"):
        fill_in("{", {})


def test_white_space_in_the_file_makes_no_difference() -> None:
    assert fill_in(TEMPLATE, VALUES) == fill_in(TEMPLATE.replace(", ", ",\n    "), VALUES)


def test_only_names_in_braces_are_placeholders() -> None:
    assert placeholders("$states ${a} $b ${} ${ c } ${d.e} ${f1}") == {"a", "f1"}


# --- The state machine as the program declares it ---


each_stack = pytest.mark.parametrize("stack", STACKS)
MACHINE = "aws:sfn/stateMachine:StateMachine"
TASKS = tuple(FUNCTIONS.values())


@each_stack
def test_the_definition_names_the_functions_of_its_tasks(stack: str) -> None:
    run = declare_test_stack(stack)
    definition = run.get(MACHINE, "order_fulfillment").inputs["definition"]
    assert not placeholders(definition)
    for name in TASKS:
        assert run.get(FUNCTION, name).outputs["arn"] in definition


@each_stack
def test_the_state_machine_is_traced_and_logs_to_a_group_of_vended_logs(stack: str) -> None:
    run = declare_test_stack(stack)
    inputs = run.get(MACHINE, "order_fulfillment").inputs
    group = run.get(LOG_GROUP, "order_fulfillment-logs")
    assert inputs["tracingConfiguration"] == {"enabled": True}
    assert group.inputs["name"].startswith("/aws/vendedlogs/states/")
    assert group.inputs["retentionInDays"] == {"dev": 14, "prod": 90}[stack]
    assert inputs["loggingConfiguration"] == {
        "level": {"dev": "ALL", "prod": "ERROR"}[stack],
        "includeExecutionData": stack == "dev",
        "logDestination": f"{group.outputs['arn']}:*",
    }


@each_stack
def test_no_execution_starts_before_the_tasks_have_their_permissions(stack: str) -> None:
    run = declare_test_stack(stack)
    machine = run.get(MACHINE, "order_fulfillment")
    for policy in run.of_type(ROLE_POLICY):
        if policy.name.startswith((*(f"{task}-" for task in TASKS), "order_fulfillment-")):
            assert depends_on(run, machine, policy), policy.name


def test_the_type_of_the_state_machine_is_configurable() -> None:
    assert declare_test_stack("dev").get(MACHINE, "order_fulfillment").inputs["type"] == "STANDARD"
    express = declare_test_stack(workflowType="EXPRESS")
    assert express.get(MACHINE, "order_fulfillment").inputs["type"] == "EXPRESS"
