"""Every function has its own role and log group, and only the permissions that its code uses."""

import pulumi
import pytest

from components import packaging
from components.packaging import archive_files, function_names
from local.engine.program import ProgramError, Resource
from local.engine.stacks import EVERYTHING, declare_test_stack
from tests.components.recorded import (
    FUNCTION,
    LOG_GROUP,
    STACKS,
    depends_on,
    policies_of,
    role_of,
)

each_stack = pytest.mark.parametrize("stack", STACKS)
each_function = pytest.mark.parametrize("name", function_names())


def function(stack: str, name: str) -> Resource:
    return declare_test_stack(stack).get(FUNCTION, name)


@each_stack
def test_the_program_declares_exactly_the_functions_of_the_repository(stack: str) -> None:
    assert {found.name for found in declare_test_stack(stack).of_type(FUNCTION)} == set(function_names())


@each_stack
@each_function
def test_a_function_writes_to_a_declared_log_group_with_a_retention(stack: str, name: str) -> None:
    run = declare_test_stack(stack)
    group = run.get(LOG_GROUP, f"{name}-logs")
    assert group.inputs["retentionInDays"] == {"dev": 14, "prod": 90}[stack]
    assert function(stack, name).inputs["loggingConfig"]["logGroup"] == group.inputs["name"]
    assert depends_on(run, function(stack, name), group)


@pytest.mark.parametrize("stack", [*STACKS, "everything"])
@each_function
def test_all_permissions_of_a_function_are_granted_before_its_code_changes(stack: str, name: str) -> None:
    run = declare_test_stack("prod", **EVERYTHING) if stack == "everything" else declare_test_stack(stack)
    declared = run.get(FUNCTION, name)
    policies = policies_of(run, role_of(run, declared.inputs["role"]))
    assert f"{name}-telemetry" in {policy.name for policy in policies}
    for policy in policies:
        assert depends_on(run, declared, policy), policy.name


@each_stack
@each_function
def test_a_function_runs_its_own_code_on_arm_with_tracing(stack: str, name: str) -> None:
    inputs = function(stack, name).inputs
    assert inputs["runtime"] == "python3.13"
    assert inputs["architectures"] == ["arm64"]
    assert inputs["handler"] == f"functions.{name}.handler.lambda_handler"
    assert inputs["tracingConfig"] == {"mode": "Active"}
    assert inputs["layers"] == [
        declare_test_stack(stack).get("aws:lambda/layerVersion:LayerVersion", "dependencies").outputs["arn"]
    ]
    assert isinstance(inputs["code"], pulumi.AssetArchive)
    assert set(inputs["code"].assets) == set(archive_files(name))


@each_function
def test_the_archives_name_their_files_relative_to_the_project(name: str) -> None:
    code = function("dev", name).inputs["code"]
    paths = {inside: asset.path for inside, asset in code.assets.items()}
    bytecode = {inside for inside in paths if inside.endswith(".pyc")}
    contract = {"functions/service_api/openapi.json": "docs/openapi.json"} if name == "service_api" else {}
    assert all(paths[inside].startswith(".build/bytecode/") for inside in bytecode)
    sources = {inside: path for inside, path in paths.items() if inside not in bytecode}
    assert sources == {inside: inside for inside in sources} | contract


def test_a_deployment_without_bytecode_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = packaging.layer_folder()
    lines: list[str] = []
    monkeypatch.setattr(packaging, "layer_folder", lambda: folder)
    monkeypatch.setattr(packaging, "compiler", lambda: None)
    monkeypatch.setattr(pulumi.log, "info", lambda text, *_: lines.append(text))
    code = declare_test_stack(logRetentionDays=1).get(FUNCTION, "users_api").inputs["code"]
    assert [line for line in lines if "without bytecode" in line] == lines
    assert len(lines) == 1
    assert not [inside for inside in code.assets if inside.endswith(".pyc")]


@each_function
def test_a_function_gets_its_name_and_log_level(name: str) -> None:
    variables = function("prod", name).inputs["environment"]["variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == name
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "orderflow/prod"
    assert variables["POWERTOOLS_LOG_LEVEL"] == "INFO"


@pytest.mark.parametrize(
    ("level", "of_lambda"), [("DEBUG", "DEBUG"), ("INFO", "INFO"), ("WARNING", "INFO"), ("ERROR", "INFO")]
)
def test_lambda_keeps_the_lines_of_the_log_level_and_all_metrics(level: str, of_lambda: str) -> None:
    """A level above INFO in Lambda's own filter would drop the metrics too."""
    assert {
        found.inputs["loggingConfig"]["applicationLogLevel"]
        for found in declare_test_stack("prod", logLevel=level).of_type(FUNCTION)
    } == {of_lambda}


def test_functions_of_the_api_time_out_before_the_gateway() -> None:
    assert all(
        found.inputs["timeout"] < 29
        for found in declare_test_stack("prod").of_type(FUNCTION)
        if found.name.endswith("_api")
    )


def test_only_functions_with_reserved_concurrency_are_capped() -> None:
    caps = {
        found.name: found.inputs.get("reservedConcurrentExecutions")
        for found in declare_test_stack("local").of_type(FUNCTION)
    }
    assert caps["orders_api"] == 12
    assert caps["fulfill_order"] == 3
    assert caps["order_consumer"] is None
    assert not [
        found
        for found in declare_test_stack("prod").of_type(FUNCTION)
        if "reservedConcurrentExecutions" in found.inputs
    ]


def test_reserved_concurrency_above_the_accounts_quota_is_refused_in_a_preview() -> None:
    reserved = {"orders_api": 500, "users_api": 401}
    with pytest.raises(
        ProgramError, match=r"reservedConcurrency: 901 in all is too high. Reserve at most 900"
    ):
        declare_test_stack(preview=True, reservedConcurrency=reserved)
    declare_test_stack(reservedConcurrency={**reserved, "users_api": 400})


def test_the_quota_is_read_only_for_reserved_concurrency(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("pulumi_aws.servicequotas.get_service_quota_output", refuse)
    declare_test_stack(functionMemoryMb=257)
