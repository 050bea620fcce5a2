"""The schedule of the requeue: its rate, its permissions, and failed runs."""

import pytest

from local.engine.program import ProgramRun
from local.engine.stacks import declare_test_stack
from tests.components.recorded import (
    FUNCTION,
    ROLE_POLICY,
    STACKS,
    depends_on,
)

SCHEDULE = "aws:scheduler/schedule:Schedule"
GROUP = "aws:scheduler/scheduleGroup:ScheduleGroup"
NAME = "requeue_stalled_orders"

each_stack = pytest.mark.parametrize("stack", STACKS)


def requeue_arn(run: ProgramRun) -> str:
    arn: str = run.get(FUNCTION, NAME).outputs["arn"]
    return arn


@each_stack
def test_the_requeue_runs_every_five_minutes_on_the_minute(stack: str) -> None:
    run = declare_test_stack(stack)
    inputs = run.get(SCHEDULE, "requeue").inputs
    assert inputs["scheduleExpression"] == "rate(5 minutes)"
    assert inputs["flexibleTimeWindow"] == {"mode": "OFF"}
    assert inputs["groupName"] == run.get(GROUP, "requeue").outputs["name"]
    assert inputs["target"]["arn"] == requeue_arn(run)


@each_stack
def test_a_run_ends_before_the_next_one_begins(stack: str) -> None:
    assert declare_test_stack(stack).get(FUNCTION, NAME).inputs["timeout"] < 5 * 60


@each_stack
def test_a_run_that_cannot_start_is_dropped_when_the_next_is_due(stack: str) -> None:
    run = declare_test_stack(stack)
    assert run.get(SCHEDULE, "requeue").inputs["target"]["retryPolicy"]["maximumEventAgeInSeconds"] == 300
    (config,) = run.of_type("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
    assert config.inputs["functionName"] == requeue_arn(run)
    assert config.inputs["maximumEventAgeInSeconds"] == 300
    assert config.inputs["maximumRetryAttempts"] == 0


@each_stack
def test_no_run_starts_before_the_function_has_its_permissions(stack: str) -> None:
    run = declare_test_stack(stack)
    for policy in run.of_type(ROLE_POLICY):
        if policy.name.startswith((f"{NAME}-", "requeue-")):
            assert depends_on(run, run.get(SCHEDULE, "requeue"), policy), policy.name


def test_executions_of_an_express_machine_are_not_looked_up() -> None:
    run = declare_test_stack(workflowType="EXPRESS")
    assert run.get(FUNCTION, NAME).inputs["environment"]["variables"]["WORKFLOW_TYPE"] == "EXPRESS"


def test_the_requeue_gets_the_configured_limits() -> None:
    run = declare_test_stack(stalledAfterMinutes=12, maxAttempts=5)
    variables = run.get(FUNCTION, NAME).inputs["environment"]["variables"]
    assert (variables["STALLED_AFTER_MINUTES"], variables["MAX_ATTEMPTS"]) == ("12", "5")
