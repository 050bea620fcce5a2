"""Commands of docs/operations.md and docs/deploying.md, run by the real CLI on the stack prod."""

from __future__ import annotations

from pathlib import Path

from components.packaging import PROJECT_ROOT
from tests.documents.shell import commands, sections
from tests.engine.workspace import Deployed

RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text("utf-8")
TABLE = "aws:dynamodb/table:Table"


def section_without_aws(name: str) -> str:
    """The commands of a section as a script, without those of the AWS CLI."""
    lines = [command.text for command in commands(sections(RUNBOOK)[name])]
    return "\n".join(line for line in lines if not line.startswith("aws "))


def test_a_leaked_key_is_replaced(deployed: Deployed, tmp_path: Path) -> None:
    workspace = deployed.copy("prod", tmp_path / "prod")
    with workspace.changes() as changes:
        workspace.run("bash", "-euo", "pipefail", "-c", section_without_aws("A client's quota or key"))
    assert set(changes().replaced) == {
        ("aws:apigateway/apiKey:ApiKey", "paid"),
        ("aws:apigateway/usagePlanKey:UsagePlanKey", "paid"),
    }


def test_a_destroy_without_preview_deletes_all_but_the_protected_tables(
    deployed: Deployed, tmp_path: Path
) -> None:
    workspace = deployed.copy("prod", tmp_path / "prod")
    assert workspace.pulumi("destroy", "--skip-preview", status=None).status != 0
    assert [found.type for found in workspace.resources()] == [TABLE] * 6
