"""The commands of docs/deploying.md for one function deploy exactly its resources."""

from __future__ import annotations

import re

import pytest

from components.packaging import function_names
from local.engine.program import PROJECT_ROOT
from local.engine.stacks import declare_test_stack
from tests.components.recorded import FUNCTION

DOCUMENT = PROJECT_ROOT / "docs" / "deploying.md"
EXAMPLE = "orders_api"


def pattern(target: str) -> re.Pattern[str]:
    """Returns a target as Pulumi matches it: `**` is anything, `*` anything without a colon."""
    parts = ("[^:]*".join(map(re.escape, part.split("*"))) for part in target.split("**"))
    return re.compile(".*".join(parts))


def commands() -> list[list[str]]:
    """Returns the targets of each command with `--target` in the document."""
    text = DOCUMENT.read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("pulumi ") and "--target '" in line]
    return [re.findall(r"--target '([^']+)'", line) for line in lines]


def reached(targets: list[str]) -> set[str]:
    return {
        resource.urn
        for resource in declare_test_stack("dev").resources
        if any(pattern(target).fullmatch(resource.urn) for target in targets)
    }


def test_one_command_deploys_only_the_code() -> None:
    function = declare_test_stack("dev").get(FUNCTION, EXAMPLE).urn
    assert [targets for targets in commands() if reached(targets) == {function}]


@pytest.mark.parametrize("name", function_names())
def test_another_command_deploys_all_resources_of_the_function(name: str) -> None:
    targets = [target.replace(EXAMPLE, name) for target in max(commands(), key=len)]
    component = declare_test_stack("dev").get("orderflow:compute:LambdaFunction", name)
    own = {child.urn for child in declare_test_stack("dev").children(component)}
    assert reached(targets) == own | {component.urn}


def test_the_layer_can_be_deployed_too() -> None:
    (target,) = re.findall(r"--target '([^']*DependencyLayer[^']*)'", DOCUMENT.read_text("utf-8"))
    kinds = {declare_test_stack("dev").by_urn(urn).type for urn in reached([target])}
    assert kinds == {"orderflow:compute:DependencyLayer", "aws:lambda/layerVersion:LayerVersion"}
