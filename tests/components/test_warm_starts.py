"""Versions and aliases of functions with SnapStart or provisioned concurrency."""

from __future__ import annotations

import pytest

from components import packaging
from components.warm_starts import PROVISIONED_ALIAS, SNAP_START_ALIAS
from local.engine.input_check import check_inputs
from local.engine.program import ProgramRun, Resource
from local.engine.stacks import declare_test_stack
from tests.components.recorded import STACKS

ALIAS = "aws:lambda/alias:Alias"
FUNCTION = "aws:lambda/function:Function"
PROVISIONED = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
ALIASES = {"orders_api": SNAP_START_ALIAS, "products_api": PROVISIONED_ALIAS}


@pytest.fixture(scope="module")
def run() -> ProgramRun:
    return declare_test_stack(snapStart=["orders_api"], provisionedConcurrency={"products_api": 2})


def functions(run: ProgramRun) -> dict[str, Resource]:
    return {function.name: function for function in run.of_type(FUNCTION)}


@pytest.mark.parametrize("stack", STACKS)
def test_no_version_is_published_by_default(stack: str) -> None:
    run = declare_test_stack(stack)
    assert not run.of_type(ALIAS) + run.of_type(PROVISIONED)
    for resource in run.of_type(FUNCTION) + run.of_type("aws:lambda/permission:Permission"):
        assert resource.inputs.keys().isdisjoint({"publish", "snapStart", "qualifier"})


def test_only_the_configured_functions_publish_versions(run: ProgramRun) -> None:
    published = {name: f for name, f in functions(run).items() if f.inputs.get("publish")}
    assert {name: f.inputs.get("snapStart") for name, f in published.items()} == {
        "orders_api": {"applyOn": "PublishedVersions"},
        "products_api": None,
    }
    assert {alias.name: alias.inputs["name"] for alias in run.of_type(ALIAS)} == ALIASES
    for alias in run.of_type(ALIAS):
        function = functions(run)[alias.name]
        assert alias.inputs["functionName"] == function.outputs["name"]
        assert alias.inputs["functionVersion"] == function.outputs["version"] == "1"


def test_the_runtime_supports_snap_start() -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html"""
    assert tuple(map(int, packaging.RUNTIME.removeprefix("python").split("."))) >= (3, 12)


def test_provisioned_concurrency_is_that_of_the_alias(run: ProgramRun) -> None:
    (provisioned,) = run.of_type(PROVISIONED)
    assert provisioned.inputs == {
        "functionName": functions(run)["products_api"].outputs["name"],
        "qualifier": PROVISIONED_ALIAS,
        "provisionedConcurrentExecutions": 2,
    }


def test_the_api_calls_a_function_by_the_arn_that_it_may_call(run: ProgramRun) -> None:
    allowed = {
        ":".join(filter(None, (item.inputs["function"], item.inputs.get("qualifier"))))
        for item in run.of_type("aws:lambda/permission:Permission")
        if item.inputs["principal"] == "apigateway.amazonaws.com"
    }
    called = {
        item.inputs["uri"].partition("/functions/")[2].removesuffix("/invocations")
        for item in run.of_type("aws:apigateway/integration:Integration")
        if item.inputs["type"] == "AWS_PROXY"
    }
    assert called == allowed == {
        ":".join(filter(None, (function.outputs["arn"], ALIASES.get(name))))
        for name, function in functions(run).items()
        if name.endswith("_api")
    }  # fmt: skip


def test_a_function_with_another_alias_is_deployed_before_the_old_alias_is_deleted(run: ProgramRun) -> None:
    """The deployment of the API changes, because integrations of the new alias have another URI."""
    (deployment,) = run.of_type("aws:apigateway/deployment:Deployment")
    other = declare_test_stack(provisionedConcurrency={"orders_api": 1, "products_api": 2})
    (changed,) = other.of_type("aws:apigateway/deployment:Deployment")
    assert deployment.inputs["triggers"] != changed.inputs["triggers"]


def test_the_inputs_match_the_types_of_the_sdk(run: ProgramRun) -> None:
    assert check_inputs(run.resources) == []
