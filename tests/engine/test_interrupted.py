"""An update that is stopped at a random moment, and resumed as docs/deploying.md says."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from local.engine.provider_account import Account
from local.engine.stacks import declare_test_stack
from tests.engine.workspace import STACKS, Deployed, Workspace

# Changes, replaces and deletes a few dozen resources of dev.
CHANGE = {
    **STACKS["dev"],
    "corsOrigins": ["https://shop.example.com"],
    "functionMemoryMb": 512,
    "workflowType": "EXPRESS",
}


def stop_update(workspace: Workspace, stop: signal.Signals, *, within: int) -> None:
    """Starts `pulumi up`, and sends it a signal after a random number of changes to the account."""
    moment = random.randrange(1, within)  # noqa: S311  any moment will do
    print(f"{stop.name} after {moment} changes")
    account = Account(workspace.account_file)
    before = len(account.calls())
    # Each change is in the state at once, as for a user.
    environment = {key: value for key, value in workspace.environment.items() if "CHECKPOINTS" not in key}
    with (workspace.folder / "stopped.txt").open("w") as log:
        process = subprocess.Popen(
            ["pulumi", "up", "--skip-preview"],
            cwd=workspace.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        while process.poll() is None and len(account.calls()) - before < moment:
            time.sleep(0.01)
        process.send_signal(stop)
        assert process.wait(timeout=120) != 0
    kill_session(process.pid)


def kill_session(session: int) -> None:
    """Ends what a killed engine leaves behind: the language host and the program."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
            if int(fields[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)


def pending_creates(workspace: Workspace) -> set[tuple[str, str]]:
    """Type and URN of what was being created when the engine ended."""
    operations = workspace.state()["deployment"].get("pending_operations", ())
    return {
        (found["resource"]["type"], found["resource"]["urn"])
        for found in operations
        if found["type"] == "creating"
    }


def resolve_pending_creates(workspace: Workspace) -> None:
    """Deletes from the account what the state does not have, and clears the list in the state."""
    account = Account(workspace.account_file)
    known = {found.get("id") for found in workspace.state()["deployment"]["resources"]}
    interrupted = pending_creates(workspace)
    for found in account.resources():
        if found.id not in known and (found.type, found.urn) in interrupted:
            account.delete(found.type, found.id)
    workspace.pulumi("refresh", "--skip-preview", "--clear-pending-creates")


def check_complete(workspace: Workspace, **config: Any) -> None:
    """The account holds what the program declares, the state the same, and nothing is left to do."""
    declared = declare_test_stack("dev", **config).resources
    resources = workspace.resources()
    assert sorted((found.type, found.name) for found in resources) == sorted(
        (found.type, found.name) for found in declared if found.custom
    )
    state = workspace.state()["deployment"]
    assert not state.get("pending_operations")
    assert {(found.type, found.id) for found in resources} == {
        (found["type"], found["id"]) for found in state["resources"] if found["type"].startswith("aws:")
    }
    workspace.up("--expect-no-changes")


def test_a_first_deployment_that_was_killed_is_resumed(deployed: Deployed, tmp_path: Path) -> None:
    workspace = Workspace.make(tmp_path)
    workspace.init("dev", STACKS["dev"])
    stop_update(workspace, signal.SIGKILL, within=120)

    locked = workspace.up("--refresh", status=None)
    assert locked.status != 0
    assert "delete the lock file with `pulumi cancel`" in locked.text
    workspace.pulumi("cancel", "--yes")
    resolve_pending_creates(workspace)
    workspace.up("--refresh")
    check_complete(workspace)


def test_a_change_that_was_killed_is_resumed(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    workspace.set_configuration(CHANGE)
    stop_update(workspace, signal.SIGKILL, within=40)
    workspace.pulumi("cancel", "--yes")
    resolve_pending_creates(workspace)
    workspace.up("--refresh")
    check_complete(workspace, **CHANGE)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_a_change_that_was_cancelled_needs_only_up(
    stop: signal.Signals, deployed: Deployed, tmp_path: Path
) -> None:
    """The engine finishes what it has begun, and gives the lock back."""
    workspace = deployed.copy("dev", tmp_path / "dev")
    workspace.set_configuration(CHANGE)
    stop_update(workspace, stop, within=40)
    assert not pending_creates(workspace)
    workspace.up("--refresh")
    check_complete(workspace, **CHANGE)
