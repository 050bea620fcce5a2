"""Rules that hold for everything the program declares, for every stack, in an update and in a preview."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from local.input_check import check_inputs
from local.program import ProgramError, Resource
from local.sdk_types import arguments_class
from local.stack_config import ConfigError
from tests.components.recorded import (
    FUNCTION,
    ROLE,
    ROLE_POLICY,
    STACKS,
    as_list,
    grants_of,
    policies_of,
    recorded_with,
    statements,
)
from tests.program import declared

ALL_STACKS = (*STACKS, "local")

# AWS has no narrower resource for these.
UNBOUNDED_ACTIONS = {
    "cloudwatch:GetMetricStatistics",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}

EXPORTS = {
    "apiUrl",
    "apiId",
    "apiStage",
    "apiRootResourceId",
    "apiResourceIds",
    "apiKeyIds",
    "usagePlanIds",
    "tableNames",
    "queueUrl",
    "deadLetterQueueUrl",
    "stateMachineArn",
    "eventBusName",
    "dashboardUrl",
}


def identity(resource: Resource) -> tuple[str, str, str]:
    """What a resource is, whatever the stack."""
    parent = resource.parent.split("::")
    return resource.type, resource.name, "" if parent[2:3] == ["pulumi:pulumi:Stack"] else parent[-1]


@pytest.mark.parametrize("stack", ALL_STACKS)
@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_all_inputs_are_as_the_sdk_declares_them(stack: str, preview: bool) -> None:
    assert check_inputs(declared(stack, preview=preview).resources) == []


@pytest.mark.parametrize("stack", ALL_STACKS)
@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
def test_the_program_runs_without_a_warning(stack: str, preview: bool) -> None:
    assert declared(stack, preview=preview).messages == ()


@pytest.mark.parametrize("stack", ALL_STACKS)
def test_a_preview_shows_what_an_update_declares(stack: str) -> None:
    assert {identity(found) for found in declared(stack, preview=True).resources} == {
        identity(found) for found in declared(stack).resources
    }


def test_production_differs_from_development_by_values_only() -> None:
    assert {identity(found) for found in declared("prod").resources} == {
        identity(found) for found in declared("dev").resources
    }


@pytest.mark.parametrize("stack", STACKS)
def test_no_role_may_take_an_action_by_wildcard(stack: str) -> None:
    for policy in declared(stack).of_type(ROLE_POLICY):
        for grant in grants_of(policy):
            assert "*" not in grant.action, policy.name


@pytest.mark.parametrize("stack", STACKS)
def test_only_what_has_no_arn_is_granted_on_everything(stack: str) -> None:
    for policy in declared(stack).of_type(ROLE_POLICY):
        for grant in grants_of(policy):
            if grant.action in UNBOUNDED_ACTIONS:
                continue
            if grant.action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                assert re.fullmatch(r"arn:aws:logs:[^*]+:log-group:[^*]+:\*", grant.resource)
            elif grant.action == "states:DescribeExecution":
                assert re.fullmatch(r"arn:aws:states:[^*]+:execution:[^*]+:\*", grant.resource)
            else:
                assert "*" not in grant.resource, f"{policy.name}: {grant}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_role_is_trusted_by_one_service_and_has_a_policy(stack: str) -> None:
    run = declared(stack)
    for role in run.of_type(ROLE):
        (statement,) = statements(role)
        (service,) = as_list(statement["Principal"]["Service"])
        assert service.endswith(".amazonaws.com")
        assert policies_of(run, role)


@pytest.mark.parametrize("stack", ALL_STACKS)
def test_all_that_can_carry_tags_says_project_and_stack(stack: str) -> None:
    for resource in declared(stack).resources:
        arguments = arguments_class(resource.type) if resource.custom else None
        if arguments is not None and hasattr(arguments, "tags"):
            assert resource.inputs["tags"] == {"project": "orderflow", "stack": stack}, resource.name


def test_tags_of_the_configuration_are_added() -> None:
    run = recorded_with(tags={"team": "orders"})
    assert run.get(FUNCTION, "orders_api").inputs["tags"] == {
        "project": "orderflow",
        "stack": "dev",
        "team": "orders",
    }


@pytest.mark.parametrize("stack", ALL_STACKS)
def test_everything_belongs_to_a_component(stack: str) -> None:
    run = declared(stack)
    components = {found.urn for found in run.resources if not found.custom}
    assert all(found.parent in components for found in run.resources if found.custom)
    assert {found.type for found in run.resources if not found.custom} == {
        "orderflow:api:RestApi",
        "orderflow:compute:DependencyLayer",
        "orderflow:compute:LambdaFunction",
        "orderflow:messaging:EventBus",
        "orderflow:messaging:Queue",
        "orderflow:monitoring:Monitoring",
        "orderflow:schedule:Schedule",
        "orderflow:storage:Table",
        "orderflow:workflow:Workflow",
    }


@pytest.mark.parametrize("stack", ALL_STACKS)
def test_the_exports_are_those_that_others_rely_on(stack: str) -> None:
    values = declared(stack).outputs.values
    assert set(values) == EXPORTS
    assert all(values.values())
    assert set(values["apiKeyIds"]) == set(values["usagePlanIds"]) == {"free", "paid"}
    assert set(values["tableNames"]) == {"users", "products", "orders"}
    assert values["apiResourceIds"]["/"] == values["apiRootResourceId"]
    assert "/orders/{orderId}/cancel" in values["apiResourceIds"]
    assert values["apiUrl"].endswith("/v1")


def test_keys_are_exported_by_id_and_never_by_value() -> None:
    run = declared("prod")
    keys = run.of_type("aws:apigateway/apiKey:ApiKey")
    assert run.outputs.values["apiKeyIds"] == {key.name: key.id for key in keys}


def test_the_health_answer_knows_stack_and_version() -> None:
    variables = declared("prod").get(FUNCTION, "service_api").inputs["environment"]["variables"]
    assert variables["STACK_NAME"] == "prod"
    assert re.fullmatch("[0-9a-f]{12}", variables["SERVICE_VERSION"])


START_ALL = """
import importlib, json, os, sys
given = json.load(sys.stdin)
for name, variables in given.items():
    os.environ.update(variables)
    importlib.import_module(f"functions.{name}.handler")
    for variable in variables:
        del os.environ[variable]
"""


def test_every_function_starts_with_the_environment_that_the_program_gives_it() -> None:
    run = declared("dev")
    given = {found.name: found.inputs["environment"]["variables"] for found in run.of_type(FUNCTION)}
    result = subprocess.run(
        [sys.executable, "-c", START_ALL],
        input=json.dumps(given),
        cwd=run.config.root,
        env={"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"workflowType": "FAST"}, "orderflow:workflowType must be one of STANDARD, EXPRESS, but is FAST."),
        (
            {"usagePlans": {"free": {"burst": 5, "rate": 5}}},
            "orderflow:usagePlans.free must have exactly quotaPerDay",
        ),
        ({"logRetentionDays": -1}, "orderflow:logRetentionDays must be one of 1, 3, 5"),
        ({"logRetentionDay": 14}, "orderflow:logRetentionDay is unknown; the keys are "),
    ],
    ids=["workflow type", "plan without quota", "negative retention", "misspelt key"],
)
def test_a_mistake_in_the_configuration_stops_the_program_with_one_sentence(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((ProgramError, ConfigError)) as error:
        recorded_with(**config)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
