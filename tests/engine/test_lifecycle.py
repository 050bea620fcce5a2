"""A stack under the real engine: deployed, unchanged, changed by hand, deployed in part, removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.engine.provider_account import Account, Stored
from local.engine.stacks import declare_test_stack
from tests.engine.workspace import STACKS, Deployed, Workspace

FUNCTION = "aws:lambda/function:Function"
TABLE = "aws:dynamodb/table:Table"

each_stack = pytest.mark.parametrize("stack", STACKS)


def change_by_hand(workspace: Workspace, resource: Stored, **inputs: object) -> None:
    """Changes a resource of the account without Pulumi."""
    account = Account(workspace.account_file)
    account.change(resource.type, resource.id, {**resource.inputs, **inputs}, {**resource.outputs, **inputs})


def resource_named(workspace: Workspace, token: str, name: str) -> Stored:
    (found,) = [found for found in workspace.resources() if found.type == token and found.name == name]
    return found


@each_stack
def test_the_account_holds_exactly_what_the_program_declares(
    stack: str, deployed: Deployed, tmp_path: Path
) -> None:
    workspace = deployed.copy(stack, tmp_path / stack)
    base = "dev" if stack == "dev" else "prod"
    declared = declare_test_stack(base, **STACKS[stack]).resources
    expected = sorted((found.type, found.name) for found in declared if found.custom)
    assert sorted((found.type, found.name) for found in workspace.resources()) == expected
    state = workspace.state()["deployment"]
    assert "pending_operations" not in state
    own = [found for found in state["resources"] if found["type"].startswith("aws:")]
    assert {(found["type"], found["id"]) for found in own} == {
        (found.type, found.id) for found in workspace.resources()
    }


@each_stack
def test_a_second_up_and_a_refresh_change_nothing(stack: str, deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy(stack, tmp_path / stack)
    before = workspace.resources()
    with workspace.changes() as changes:
        workspace.up("--refresh", "--expect-no-changes")
    assert changes().nothing
    assert workspace.resources() == before


def test_drift_is_found_and_set_back(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    function = resource_named(workspace, FUNCTION, "orders_api")
    change_by_hand(workspace, function, memorySize=3008)
    alarm, *_ = [found for found in workspace.resources() if found.type.endswith(":MetricAlarm")]
    Account(workspace.account_file).delete(alarm.type, alarm.id)

    found = workspace.pulumi("preview", "--refresh", "--expect-no-changes", status=None)
    assert found.status != 0
    assert "memorySize" in found.text

    with workspace.changes() as changes:
        workspace.up("--refresh")
    assert changes().updated == {
        (FUNCTION, "orders_api"): {"memorySize"},
        # It shows the alarms by their ARNs, and the new alarm has a new name.
        ("aws:cloudwatch/dashboard:Dashboard", "orderflow"): {"dashboardBody"},
    }
    assert changes().created == {(alarm.type, alarm.name)}
    assert not changes().replaced
    assert not changes().deleted
    assert resource_named(workspace, FUNCTION, "orders_api").inputs["memorySize"] == 256


def test_destroy_leaves_nothing(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    workspace.pulumi("destroy", "--skip-preview")
    assert workspace.resources() == []
    workspace.pulumi("stack", "rm", "dev", "--preserve-config")
    assert (workspace.project / "Pulumi.dev.yaml").exists()


def test_destroy_is_refused_in_prod_until_all_protection_is_removed(
    deployed: Deployed, tmp_path: Path
) -> None:
    """The steps of docs/deploying.md."""
    workspace = deployed.copy("prod", tmp_path / "prod")
    before = workspace.resources()

    # Its preview fails. With --skip-preview everything else would be deleted.
    refused = workspace.pulumi("destroy", status=None)
    assert refused.status != 0
    assert "protect" in refused.text
    assert workspace.resources() == before

    # Protected by Pulumi no longer, but by DynamoDB.
    workspace.pulumi("config", "set", "protectData", "false")
    with workspace.changes() as changes:
        workspace.up()
    assert changes().nothing
    refused = workspace.pulumi("destroy", "--skip-preview", status=None)
    assert refused.status != 0
    assert "is protected against deletion" in refused.text
    assert [found.type for found in workspace.resources()].count(TABLE) == 6

    workspace.pulumi("config", "set", "deletionProtection", "false")
    workspace.up()
    workspace.pulumi("destroy", "--skip-preview")
    assert workspace.resources() == []


def test_destroy_can_keep_the_protected_tables(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("prod", tmp_path / "prod")
    workspace.pulumi("destroy", "--exclude-protected")
    assert [found.type for found in workspace.resources()] == [TABLE] * 6
    assert "prod" in workspace.pulumi("stack", "ls").text


def test_keys_are_encrypted_in_the_state_and_hidden_in_the_outputs(
    deployed: Deployed, tmp_path: Path
) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    text = json.dumps(workspace.state())
    keys = [found for found in workspace.resources() if found.type == "aws:apigateway/apiKey:ApiKey"]
    assert keys
    for key in keys:
        assert key.outputs["value"]
        assert key.outputs["value"] not in text
        assert key.outputs["value"] not in json.dumps(workspace.outputs())
