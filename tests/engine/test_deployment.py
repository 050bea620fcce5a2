"""The deployment's script previews under the policy pack, and makes exactly the previewed changes."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from local.engine.monitored import DASHBOARD
from local.engine.program import PROJECT_ROOT
from tests.components.recorded import FUNCTION
from tests.engine.workspace import Deployed, Output, Workspace


def deploy(workspace: Workspace, stack: str, *, status: int | None = 0) -> Output:
    """Runs the script of the action `deploy`, without GitHub."""
    action = yaml.safe_load((PROJECT_ROOT / ".github/actions/deploy/action.yml").read_text("utf-8"))
    script = action["runs"]["steps"][-1]["run"]
    variables = {"STACK": stack, "GITHUB_OUTPUT": str(workspace.folder / "output")}
    return workspace.run("bash", "-euo", "pipefail", "-c", script, status=status, environment=variables)


def test_it_makes_the_previewed_changes_and_returns_the_url(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    workspace.pulumi("config", "set", "functionMemoryMb", "1024")
    with workspace.changes() as changes:
        deploy(workspace, "dev")
    assert {kind for kind, _ in changes().updated} == {FUNCTION, DASHBOARD}
    assert {key for inputs in changes().updated.values() for key in inputs} == {"memorySize", "dashboardBody"}
    url = workspace.outputs()["apiUrl"]
    assert (workspace.folder / "output").read_text("utf-8") == f"apiUrl={url}\n"


def test_a_violated_rule_over_the_whole_stack_changes_nothing(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("dev", tmp_path / "dev")
    queue = workspace.project / "components" / "queue.py"
    queue.write_text(queue.read_text("utf-8").replace("if settings.require_tls:", "if False:"), "utf-8")
    with workspace.changes() as changes:
        output = deploy(workspace, "dev", status=None)
    assert output.status != 0
    assert "encrypted-in-transit" in output.text
    assert changes().nothing
