"""Rules that hold for everything the program declares, for every stack, in an update and in a preview."""

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
from local.engine.input_check import check_inputs
from local.engine.program import PROJECT_ROOT, ProgramError, ProgramRun, Resource
from local.engine.sdk_types import arguments_class
from local.engine.stack_config import ConfigError, load_stack_config
from local.engine.stacks import EVERYTHING, configuration, declare_repository_stack, declare_test_stack
from tests.components.recorded import (
    FUNCTION,
    STACKS,
)

# The repository's stacks, whatever somebody has set in them, and what somebody may set.
SHIPPED = (*STACKS, "local")
WISHES: dict[str, dict[str, Any]] = {
    "everything": dict(EVERYTHING),
    "elsewhere": {"aws:region": "ap-southeast-2"},
}

each_run = pytest.mark.parametrize("name", [*SHIPPED, *WISHES])
both = pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])


def run_of(name: str, *, preview: bool = False) -> ProgramRun:
    """A stack of the repository, or prod as somebody wishes it."""
    if name in SHIPPED:
        return declare_repository_stack(name, preview=preview)
    return declare_test_stack("prod", preview=preview, **WISHES[name])


def configured(run: ProgramRun, key: str) -> Any:
    """A value of the program's configuration that is an object."""
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
    "dashboardUrl",
}


def identity(resource: Resource) -> tuple[str, str, str]:
    """What a resource is, whatever the stack."""
    parent = resource.parent.split("::")
    return resource.type, resource.name, "" if parent[2:3] == ["pulumi:pulumi:Stack"] else parent[-1]


def identities(run: ProgramRun) -> set[tuple[str, str, str]]:
    return {identity(found) for found in run.resources}


@pytest.mark.parametrize("stack", STACKS)
def test_what_somebody_sets_in_a_stacks_file_changes_nothing_for_the_tests_own_configurations(
    stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = load_stack_config(PROJECT_ROOT, stack, configuration(stack)).values
    monkeypatch.setattr(local.engine.stacks, "PROJECT_ROOT", tmp_path)
    shutil.copy(PROJECT_ROOT / "Pulumi.yaml", tmp_path)
    wishes = {f"orderflow:{key}": value for key, value in EVERYTHING.items()}
    elsewhere = {"aws:region": "ap-southeast-2", "pulumi:autonaming": {"mode": "verbatim"}}
    file = {"secretsprovider": "awskms:///key", "encryptedkey": "AQ==", "config": wishes | elsewhere}
    (tmp_path / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(file))
    assert load_stack_config(tmp_path, stack).values != own
    assert load_stack_config(tmp_path, stack, configuration(stack)).values == own


@both
@each_run
def test_all_inputs_are_as_the_sdk_declares_them(name: str, preview: bool) -> None:
    assert check_inputs(run_of(name, preview=preview).resources) == []


@both
@each_run
def test_the_program_warns_of_nothing_but_alarms_that_reach_nobody(name: str, preview: bool) -> None:
    messages = run_of(name, preview=preview).messages
    assert [message for message in messages if "alarmEmail: is empty" not in message] == []


@each_run
def test_a_preview_shows_what_an_update_declares(name: str) -> None:
    assert identities(run_of(name, preview=True)) == identities(run_of(name))


def test_the_cli_must_know_what_pulumi_yaml_says_and_the_one_of_our_sdk_does() -> None:
    """Autonaming came with 3.146.0, `object` in the schema with 3.187.0:
    https://github.com/pulumi/pulumi/blob/master/CHANGELOG.md"""
    project = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text("utf-8"))
    assert "object" in {declared.get("type") for declared in project["config"].values()}
    (least,) = re.findall(r"^>=(\d+\.\d+\.\d+)$", project["requiredPulumiVersion"])
    assert (3, 187, 0) <= number(least) <= number(version("pulumi"))


def number(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_production_differs_from_development_by_values_only() -> None:
    assert identities(declare_test_stack("prod")) == identities(declare_test_stack("dev"))


@each_run
def test_all_that_can_carry_tags_says_project_and_stack_and_what_is_configured(name: str) -> None:
    run = run_of(name)
    tags = {"project": "orderflow", "stack": run.config.stack, **configured(run, "tags")}
    for resource in run.resources:
        arguments = arguments_class(resource.type) if resource.custom else None
        if arguments is not None and hasattr(arguments, "tags"):
            assert resource.inputs["tags"] == tags, resource.name


def test_tags_of_the_configuration_are_added() -> None:
    run = declare_test_stack(tags={"team": "orders"})
    assert run.get(FUNCTION, "orders_api").inputs["tags"] == {
        "project": "orderflow",
        "stack": "dev",
        "team": "orders",
    }


@each_run
def test_everything_belongs_to_a_component(name: str) -> None:
    run = run_of(name)
    components = {found.urn for found in run.resources if not found.custom}
    assert all(found.parent in components for found in run.resources if found.custom)


def test_a_domain_and_a_firewall_are_the_only_components_that_a_stack_may_leave_out() -> None:
    def components(run: ProgramRun) -> set[str]:
        return {found.type for found in run.resources if not found.custom}

    assert components(declare_test_stack("prod")) == {
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
    more = components(declare_test_stack("prod", **EVERYTHING)) - components(declare_test_stack("prod"))
    assert more == {"orderflow:api:CustomDomain", "orderflow:api:Firewall"}


@each_run
def test_the_exports_are_those_that_others_rely_on(name: str) -> None:
    run = run_of(name)
    values = run.outputs.values
    assert set(values) == EXPORTS
    assert all(values.values())
    assert set(values["apiKeyIds"]) == set(values["usagePlanIds"]) == set(configured(run, "usagePlans"))
    assert set(values["tableNames"]) == {"users", "products", "orders"}
    assert values["apiResourceIds"]["/"] == values["apiRootResourceId"]
    assert "/orders/{orderId}/cancel" in values["apiResourceIds"]
    assert values["apiUrl"].startswith("https://")


def test_the_exported_url_is_that_of_the_stage() -> None:
    assert declare_test_stack("prod").outputs.values["apiUrl"].endswith("/v1")


def test_keys_are_exported_by_id_and_never_by_value() -> None:
    run = declare_test_stack("prod")
    keys = run.of_type("aws:apigateway/apiKey:ApiKey")
    assert run.outputs.values["apiKeyIds"] == {key.name: key.id for key in keys}


def test_the_health_answer_knows_stack_and_version() -> None:
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


@pytest.mark.parametrize("config", [{}, EVERYTHING], ids=["lean", "everything"])
def test_every_function_starts_with_the_environment_that_the_program_gives_it(config: dict[str, Any]) -> None:
    run = declare_test_stack("dev", **config)
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
    ids=["workflow type", "plan without quota", "negative retention", "misspelt key"],
)
def test_a_mistake_in_the_configuration_stops_the_program_with_one_sentence(
    config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((ProgramError, ConfigError)) as error:
        declare_test_stack(**config)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)
