"""The program follows all rules in every stack, and every exception is needed.

The stacks of the repository are evaluated as their files configure them. All other tests have their own
configurations.
"""

import re
from collections import defaultdict
from typing import Any

import pytest

from local.engine.program import PROJECT_ROOT
from local.engine.sdk_types import arguments_class
from local.engine.stacks import EVERYTHING, declare_repository_stack, declare_test_stack
from policy.access import is_excepted
from policy.exceptions import (
    OPEN_METHODS,
    PLAIN_HTTP_STACKS,
    ROLE_ACTIONS,
    TRUSTED_SERVICES,
    WILDCARD_RESOURCES,
)
from policy.resource_types import TAGGED, UNTAGGED
from policy.resources import API_METHOD, ROLE, ROLE_POLICY, many, statements
from policy.rules import RULES
from tests.policy.evaluation import config_of, evaluate, recorded, recording

each_stack = pytest.mark.parametrize("stack", ["dev", "prod", "local"])


@each_stack
@pytest.mark.parametrize("preview", [False, True], ids=["update", "first preview"])
def test_the_stack_breaks_no_rule(stack: str, preview: bool) -> None:
    run = declare_repository_stack(stack, preview=preview)
    assert evaluate(RULES, recorded(run), config_of(run)) == []


@pytest.mark.parametrize(
    "config", [EVERYTHING, {"aws:region": "ap-southeast-2"}], ids=["everything", "elsewhere"]
)
def test_a_stack_with_another_configuration_breaks_no_rule(config: dict[str, Any]) -> None:
    run = declare_test_stack("prod", **config)
    assert evaluate(RULES, recorded(run), config_of(run)) == []


def test_every_wildcard_exception_is_still_needed() -> None:
    used = set()
    runs = recording("prod"), recording("prod", everything=True)
    for item in [policy for run in runs for policy in run.of_type(ROLE_POLICY)]:
        for statement in statements(item.inputs["policy"]):
            for wildcard in [name for name in many(statement["Resource"]) if "*" in name]:
                used |= {(action, wildcard) for action in many(statement["Action"])}
    assert all(is_excepted(action, wildcard) for action, wildcard in used)
    for row in WILDCARD_RESOURCES:
        needed = {action for action, wildcard in used if row.resource.fullmatch(wildcard)}
        assert row.actions <= needed, row.reason


def test_every_listed_action_is_needed() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for run in (recording("prod"), recording("prod", everything=True)):
        for policy in run.of_type(ROLE_POLICY):
            for statement in statements(policy.inputs["policy"]):
                for service, _, action in (name.partition(":") for name in many(statement["Action"])):
                    used[service].add(action)
    assert used == {service: set(actions.split()) for service, actions in ROLE_ACTIONS.items()}


def test_every_trusted_service_is_trusted_by_a_role() -> None:
    runs = recording("prod"), recording("prod", everything=True)
    roles = [role for run in runs for role in run.of_type(ROLE)]
    trusts = [trust for role in roles for trust in statements(role.inputs["assumeRolePolicy"])]
    assert {trust["Principal"]["Service"] for trust in trusts} == set(TRUSTED_SERVICES)


def test_every_open_method_is_there() -> None:
    assert len(OPEN_METHODS) == len(
        [
            item
            for item in recording("prod").of_type(API_METHOD)
            if not item.inputs["apiKeyRequired"] and item.inputs["httpMethod"] not in {"OPTIONS", "HEAD"}
        ]
    )


def test_every_stack_with_plain_http_configures_it() -> None:
    for stack in PLAIN_HTTP_STACKS:
        assert declare_repository_stack(stack).config.values["orderflow:requireTls"] == "false"


@each_stack
def test_the_types_with_and_without_tags_are_those_of_the_sdk(stack: str) -> None:
    """The rules run without the AWS SDK of Pulumi, so they have lists of their own."""
    declared = {
        item.type
        for everything in (False, True)
        for item in recording(stack, everything=everything).resources
        if item.custom
    }
    assert declared <= TAGGED | UNTAGGED
    assert {token for token in TAGGED | UNTAGGED if hasattr(arguments_class(token), "tags")} == TAGGED


def test_the_readme_lists_every_rule() -> None:
    listed = re.findall(
        r"^\| `([a-z-]+)` \|", (PROJECT_ROOT / "policy" / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(rule.name for rule in RULES)
