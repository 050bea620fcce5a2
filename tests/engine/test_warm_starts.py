"""Functions that publish versions, under the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from local.engine.provider_account import ProviderCall
from tests.engine.workspace import Deployed

ALIAS = "aws:lambda/alias:Alias"
FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"
PROVISIONED = "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
STAGE = "aws:apigateway/stage:Stage"


def is_in_order(calls: Sequence[ProviderCall], *wanted: tuple[str, str]) -> bool:
    """Whether the last calls of these methods and types were made in this order."""
    last = [max(n for n, call in enumerate(calls) if (call.method, call.type) == pair) for pair in wanted]
    return last == sorted(last)


def test_the_api_always_has_a_version_or_function_that_it_may_call(
    deployed: Deployed, tmp_path: Path
) -> None:
    workspace = deployed.copy("defaults", tmp_path / "defaults")
    provisioned = {"provisionedConcurrency": {"service_api": 2}}
    workspace.set_configuration(provisioned)
    workspace.up()

    # A change publishes a version, and the alias follows. The API is not deployed again.
    workspace.set_configuration({**provisioned, "functionMemoryMb": 512})
    with workspace.changes() as changes:
        workspace.up()
    assert changes().updated[ALIAS, "service_api"] == {"functionVersion"}
    assert not changes().replaced
    assert not [key for key in changes().updated if key[0] == STAGE]

    # The stage calls the new alias before the old one is deleted with its environments.
    workspace.set_configuration({"snapStart": ["service_api"], "functionMemoryMb": 512})
    before = len(workspace.calls())
    workspace.up()
    calls = workspace.calls()[before:]
    creation = (("update", FUNCTION), ("create", ALIAS), ("create", PERMISSION), ("update", STAGE))
    assert is_in_order(calls, *creation, ("delete", PROVISIONED), ("delete", ALIAS))
    assert is_in_order(calls, ("update", STAGE), ("delete", PERMISSION))

    workspace.set_configuration({})
    before = len(workspace.calls())
    workspace.up()
    calls = workspace.calls()[before:]
    assert is_in_order(calls, ("create", PERMISSION), ("update", STAGE), ("delete", ALIAS))
    assert not [item for item in workspace.resources() if item.type in (ALIAS, PROVISIONED)]
    workspace.up("--expect-no-changes")
