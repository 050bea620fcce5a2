"""The `pulumi` commands of the documents, run as they stand there in a fresh copy after `make install`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.packaging import PROJECT_ROOT
from local.engine.stacks import declare_test_stack
from tests.engine.s3_backend import Backend, s3_backend
from tests.engine.workspace import Changes, Workspace, require_cli

FUNCTION = "aws:lambda/function:Function"
DEPLOYING = PROJECT_ROOT / "docs" / "deploying.md"
BOOTSTRAP = PROJECT_ROOT / "bootstrap" / "README.md"
BILLING = PROJECT_ROOT / "examples" / "billing" / "README.md"


def commands(page: Path, start: str) -> str:
    """The lines with `pulumi` or `cd` of the first code block from the line that starts with `start` on."""
    _, found, rest = f"\n{page.read_text('utf-8')}".partition(f"\n{start}")
    assert found, start
    block = re.search(r"^```sh\n(.*?)^```$", rest, re.M | re.S)
    assert block
    lines = block[1].replace("\\\n", " ").splitlines()
    return "\n".join(line for line in lines if re.search(r"\bpulumi |^cd ", line))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    require_cli()
    with s3_backend(tmp_path_factory.mktemp("documents")) as made:
        for name in ("Pulumi.dev.yaml", "Pulumi.prod.yaml"):
            (made.workspace.project / name).write_bytes((PROJECT_ROOT / name).read_bytes())
        github = made.workspace.folder / "bin" / "gh"
        github.write_text("#!/bin/sh\necho acme@17/orders@4711\n", "utf-8")
        github.chmod(0o755)
        yield made


def type_in(workspace: Workspace, lines: str, *, folder: str = ".") -> tuple[str, Changes]:
    """Runs lines in one shell, and returns what they print and what they did to the account."""
    with workspace.changes() as changes:
        text = workspace.run("bash", "-euo", "pipefail", "-c", lines, folder=folder).text
    return text, changes()


def change_shared_code(workspace: Workspace) -> None:
    with (workspace.project / "functions" / "shared" / "clock.py").open("a") as file:
        file.write("\n# changed\n")


# One test, because each command builds on those before it.
def test_from_an_empty_account_to_the_first_deployment_and_back(backend: Backend) -> None:
    workspace = backend.workspace
    declared = {(found.type, found.name) for found in declare_test_stack().resources if found.custom}

    type_in(workspace, commands(DEPLOYING, "## 1. A bucket"))
    text, changes = type_in(workspace, commands(DEPLOYING, "## 4. The stack"))
    assert "Policies:\n    ✅ orderflow" in text
    assert changes.created == declared
    text, _ = type_in(workspace, commands(DEPLOYING, "## 5. A key") + '\necho "$API_URL $KEY_ID"')
    assert re.fullmatch(r"https://\S+/v1 \S+\n", text)

    # One function alone, though the code of all has changed.
    change_shared_code(workspace)
    _, changes = type_in(workspace, commands(DEPLOYING, "## 7. One function"))
    assert changes == Changes(updated={(FUNCTION, "orders_api"): frozenset({"code"})})
    change_shared_code(workspace)
    _, changes = type_in(workspace, commands(DEPLOYING, "With its role, policies and log group"))
    assert changes == Changes(updated={(FUNCTION, "orders_api"): frozenset({"code"})})

    # A second project, which reads the exports of the first.
    _, changes = type_in(workspace, commands(BILLING, "## Deploy"))
    assert (FUNCTION, "spend_api") in changes.created
    api_id = workspace.run("pulumi", "stack", "output", "apiId", "--stack", "dev").text.strip()
    routes = [found for found in workspace.resources() if found.type == "aws:apigateway/method:Method"]
    assert {route.inputs["restApi"] for route in routes} == {api_id}

    # The roles of the workflows. The boundary then bounds every role.
    _, changes = type_in(workspace, commands(BOOTSTRAP, "## Set up"))
    assert ("aws:iam/role:Role", "deploy") in changes.created
    type_in(workspace, commands(BOOTSTRAP, "Then set the boundary"), folder="bootstrap")
    _, changes = type_in(workspace, "pulumi up")
    roles = {name for kind, name in changes.updated if kind == "aws:iam/role:Role"}
    assert roles == {name for kind, name in declared if kind == "aws:iam/role:Role"}
    assert not changes.replaced

    # Nothing remains.
    type_in(workspace, "pulumi destroy", folder="examples/billing")
    (remove,) = re.findall(r"A stack without protection: `([^`]+)`", DEPLOYING.read_text("utf-8"))
    type_in(workspace, remove)
    type_in(workspace, commands(BOOTSTRAP, "## Take away"), folder="bootstrap")
    assert workspace.resources() == []
    assert (workspace.project / "Pulumi.dev.yaml").exists()
