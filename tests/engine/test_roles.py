"""The roles of the workflows may do all that the real engine asks of the provider."""

from __future__ import annotations

from pathlib import Path

from local.engine.stacks import EVERYTHING
from tests.bootstrap.test_bootstrap import DOMAIN, bootstrap, check_permissions
from tests.engine.workspace import Workspace, require_cli


def test_the_roles_may_do_all_that_the_engine_asks_of_the_provider(tmp_path: Path) -> None:
    """With the names, tags and calls of the real engine, from the first update to the last."""
    require_cli()
    workspace = Workspace.make(tmp_path)
    workspace.init("dev", {**EVERYTHING, "protectData": False, "deletionProtection": False})
    workspace.up()
    resources = workspace.resources()
    workspace.pulumi("config", "set", "functionMemoryMb", "1024")
    workspace.pulumi("config", "set", "workflowType", "STANDARD")
    workspace.up("--refresh")
    resources += workspace.resources()
    workspace.pulumi("destroy", "--skip-preview")
    (api_id,) = {item.id for item in resources if item.type == "aws:apigateway/restApi:RestApi"}
    assert {call.type for call in workspace.calls()} == {item.type for item in resources}
    for config in ({}, {"apiId": api_id}):
        run = bootstrap("dev", **DOMAIN, **config)
        for item in resources:
            check_permissions(run, item, "dev")
