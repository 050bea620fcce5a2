"""Rules for all declared resources of every stack, in an update and in a preview."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import local.engine.stacks
from components.settings.stack import NO_RECEIVER
from local.engine.input_check import check_inputs
from local.engine.program import PROJECT_ROOT, ProgramError, ProgramRun, Resource
from local.engine.sdk_types import arguments_class
from local.engine.stack_config import ConfigError, load_stack_config
from local.engine.stacks import EVERYTHING, configuration, declare_repository_stack, declare_test_stack
from tests.components.recorded import (
    FUNCTION,
    STACKS,
)

# The repository's stacks with the values in their files, and more configurations of prod.
REPOSITORY_STACKS = (*STACKS, "local")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "everything": dict(EVERYTHING),
    "another region": {"aws:region": "ap-southeast-2"},
}

# A run without an optional capability (test_removal.py) omits these: they add values, and no part.
VALUES_ONLY = ("prod", "local", "another region")

each_run = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.values_only] if name in VALUES_ONLY else [])
        for name in (*REPOSITORY_STACKS, *CONFIGURATIONS)
    ],
)
both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def run_stack(name: str, *, preview: bool = False) -> ProgramRun:
    """Runs a stack of the repository, or prod with one of the configurations."""
    if name in REPOSITORY_STACKS:
        return declare_repository_stack(name, preview=preview)
    return declare_test_stack("prod", preview=preview, **CONFIGURATIONS[name])


def configured_object(run: ProgramRun, key: str) -> Any:
    """Returns an object of the program's configuration."""
    return json.loads(run.config.values[f"orderflow:{key}"])


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
    "orderPlacedEvent",
    "stalledAfterMinutes",
    "dashboardUrl",
}


def identity(resource: Resource) -> tuple[str, str, str]:
    """Returns type, name and parent of a resource, without the name of the stack."""
    parent = resource.parent.split("::")
    return resource.type, resource.name, "" if parent[2:3] == ["pulumi:pulumi:Stack"] else parent[-1]


def identities(run: ProgramRun) -> set[tuple[str, str, str]]:
    return {identity(found) for found in run.resources}


@pytest.mark.parametrize("stack", STACKS)
def test_the_files_of_stacks_do_not_change_the_configurations_of_tests(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load_stack_config(PROJECT_ROOT, stack, configuration(stack)).values
    monkeypatch.setattr(local.engine.stacks, "PROJECT_ROOT", tmp_path)
    shutil.copy(PROJECT_ROOT / "Pulumi.yaml", tmp_path)
    settings = {f"orderflow:{key}": value for key, value in EVERYTHING.items()}
    other_region = {"aws:region": "ap-southeast-2", "pulumi:autonaming": {"mode": "verbatim"}}
    file = {"secretsprovider": "awskms:///key", "encryptedkey": "AQ==", "config": settings | other_region}
    (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(file))
    assert load_stack_config(tmp_path, stack).values != own
    assert load_stack_config(tmp_path, stack, configuration(stack)).values == own


@both
@each_run
def test_all_inputs_match_the_types_of_the_sdk(name: str, preview: bool) -> None:
    assert check_inputs(run_stack(name, preview=preview).resources) == []


@both
@each_run
def test_the_only_warning_is_that_alarms_have_no_recipient(name: str, preview: bool) -> None:
    messages = run_stack(name, preview=preview).messages
    assert [message for message in messages if message != NO_RECEIVER] == []


@each_run
def test_a_preview_shows_what_an_update_declares(name: str) -> None:
    assert identities(run_stack(name, preview=True)) == identities(run_stack(name))


def test_pulumi_yaml_requires_a_cli_that_supports_its_keys() -> None:
    """Autonaming requires 3.146.0, `object` in the schema requires 3.187.0.

    https://github.com/pulumi/pulumi/blob/master/CHANGELOG.md
    """
    project = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text("utf-8"))
    assert "object" in {declared.get("type") for declared in project["config"].values()}
    (least,) = re.findall(r"^>=(\d+\.\d+\.\d+)$", project["requiredPulumiVersion"])
    assert (3, 187, 0) <= number(least) <= number(version("pulumi"))


def number(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_production_differs_from_development_by_values_only() -> None:
    assert identities(declare_test_stack("prod")) == identities(declare_test_stack("dev"))


@each_run
def test_every_resource_with_tags_has_project_stack_and_the_configured_tags(name: str) -> None:
    run = run_stack(name)
    tags = {"project": "orderflow", "stack": run.config.stack, **configured_object(run, "tags")}
    for resource in run.resources:
        arguments = arguments_class(resource.type) if resource.custom else None
        if arguments is not None and hasattr(arguments, "tags"):
            assert resource.inputs["tags"] == tags, resource.name


def test_tags_of_the_configuration_are_added() -> None:
    assert run_stack("everything").get(FUNCTION, "orders_api").inputs["tags"] == {
        "project": "orderflow",
        "stack": "prod",
        "team": "orders",
    }


@each_run
def test_every_resource_belongs_to_a_component(name: str) -> None:
    run = run_stack(name)
    components = {found.urn for found in run.resources if not found.custom}
    assert all(found.parent in components for found in run.resources if found.custom)


def test_a_stack_that_switches_nothing_on_has_these_components() -> None:
    run = declare_test_stack("prod")
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


@each_run
def test_the_exports_are_complete(name: str) -> None:
    run = run_stack(name)
    values = run.outputs.values
    assert set(values) == EXPORTS
    assert all(value for key, value in values.items() if key != "orderPlacedEvent")
    assert (
        set(values["apiKeyIds"]) == set(values["usagePlanIds"]) == set(configured_object(run, "usagePlans"))
    )
    assert set(values["tableNames"]) == {"users", "products", "orders", "baskets", "emails", "requests"}
    assert values["apiResourceIds"]["/"] == values["apiRootResourceId"]
    assert "/orders/{orderId}/cancel" in values["apiResourceIds"]
    assert values["apiUrl"].startswith("https://")


def test_the_exported_url_is_that_of_the_stage() -> None:
    assert declare_test_stack("prod").outputs.values["apiUrl"].endswith("/v1")


def test_keys_are_exported_by_id_and_never_by_value() -> None:
    run = declare_test_stack("prod")
    keys = run.of_type("aws:apigateway/apiKey:ApiKey")
    assert run.outputs.values["apiKeyIds"] == {key.name: key.id for key in keys}


def test_the_function_of_the_health_route_gets_stack_and_version() -> None:
    variables = declare_test_stack("prod").get(FUNCTION, "service_api").inputs["environment"]["variables"]
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


@pytest.mark.parametrize("name", ["dev", "everything"])
def test_every_function_starts_with_the_environment_of_the_program(name: str) -> None:
    run = run_stack(name)
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
        ({"workflowType": "FAST"}, "workflowType: FAST is not allowed. Use one of STANDARD, EXPRESS."),
        (
            {"usagePlans": {"free": {"burst": 5, "rate": 5}}},
            'usagePlans.free: {"burst": 5, "rate": 5} is not allowed. Use an object with exactly quotaPerDay',
        ),
        ({"logRetentionDays": -1}, "logRetentionDays: -1 is not allowed. Use one of 1, 3, 5"),
        ({"logRetentionDay": 14}, "logRetentionDay: is not a key. Use one of "),
    ],
    ids=["workflow type", "plan without quota", "negative retention", "misspelled key"],
)
def test_a_mistake_in_the_configuration_stops_the_program_with_one_sentence(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((ProgramError, ConfigError)) as error:
        declare_test_stack(**config)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
