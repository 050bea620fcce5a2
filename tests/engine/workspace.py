"""A folder in which the Pulumi CLI runs the repository's programs: a copy of them, a state, an account."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from components import packaging
from local.engine.program import PROJECT_ROOT
from local.engine.provider import ACCOUNT_FILE, changed_inputs
from local.engine.provider_account import Account, ProviderCall, Stored
from local.engine.stacks import CONFIGURATIONS, EVERYTHING

REGION: Final = "eu-west-1"

_COPIED: Final = (
    *("__main__.py", "Pulumi.yaml", "requirements.txt", "docs/openapi.json"),
    *("bootstrap", "components", "examples", "functions", "policy", "statemachines"),
)
# A replacement would lose data, or the address that clients use.
NEVER_REPLACED: Final = frozenset(
    {"aws:apigateway/restApi:RestApi", "aws:dynamodb/table:Table", "aws:sqs/queue:Queue"}
)
STACKS: Final[Mapping[str, Mapping[str, Any]]] = {**CONFIGURATIONS, "everything": EVERYTHING}
# Seconds. A command takes ten on a calm machine.
_TIMEOUT: Final = 300


def require_cli() -> None:
    """Skips the test where there is no pulumi on PATH, or fails it if REQUIRE_PULUMI is set."""
    if shutil.which("pulumi") is None:
        (pytest.fail if os.environ.get("REQUIRE_PULUMI") else pytest.skip)("there is no pulumi on PATH")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a command did to the account, as type and logical name; of updates also the changed inputs."""

    created: frozenset[tuple[str, str]] = frozenset()
    updated: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    replaced: frozenset[tuple[str, str]] = frozenset()
    deleted: frozenset[tuple[str, str]] = frozenset()

    @property
    def nothing(self) -> bool:
        """Whether the account is as before."""
        return not (self.created or self.updated or self.replaced or self.deleted)


@dataclass(frozen=True)
class Output:
    """What a command printed, standard output and errors together, and how it ended."""

    text: str
    status: int


class Workspace:
    """One folder. `folder / "project"` is the copy of the repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.account_file = folder / "account.sqlite"
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
            # The state is written once, at the end, instead of after each resource: a third of the time.
            "PULUMI_EXPERIMENTAL": "1",
            "PULUMI_SKIP_CHECKPOINTS": "1",
            ACCOUNT_FILE: str(self.account_file),
        }

    @classmethod
    def make(cls, folder: Path, *, plugin: str = "local.engine.provider") -> Workspace:
        """Makes a workspace in an empty folder; `plugin` is the module that is the AWS provider."""
        for name in _COPIED:
            source, target = PROJECT_ROOT / name, folder / "project" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
            else:
                shutil.copy(source, target)
        for environment in (".venv", "policy/.venv"):
            (folder / "project" / environment).symlink_to(sys.prefix)
        # Built here, so that the copies share the one of the repository.
        build = packaging.layer_folder().parents[1]
        (folder / "project" / ".build").symlink_to(build)
        for name in ("bin", "home", "state"):
            (folder / name).mkdir()
        workspace = cls(folder)
        workspace.use_plugin(plugin)
        return workspace

    def use_plugin(self, module: str) -> None:
        """Makes a module of this repository the AWS provider from now on."""
        script = self.folder / "bin" / "pulumi-resource-aws"
        # -P: the plugin runs in the project's folder, whose modules are not meant.
        script.write_text(
            f'#!/bin/sh\nPYTHONPATH="{PROJECT_ROOT}" exec "{sys.executable}" -P -m {module} "$@"\n', "utf-8"
        )
        script.chmod(0o755)

    def copy(self, folder: Path) -> Workspace:
        """Makes a copy with the same state and account, in which no stack is selected.

        The original must not run a command meanwhile.
        """
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)

    def init(self, stack: str, config: Mapping[str, Any]) -> None:
        """Makes a stack with this configuration, and selects it for all commands."""
        self.environment["PULUMI_STACK"] = stack
        self.set_configuration(config)
        self.pulumi("stack", "init", stack)

    def set_configuration(self, config: Mapping[str, Any]) -> None:
        """Makes this the whole configuration of the selected stack, as an editor would."""
        values = {key if ":" in key else f"orderflow:{key}": value for key, value in config.items()}
        path = self.project / f"Pulumi.{self.environment['PULUMI_STACK']}.yaml"
        content = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
        content["config"] = {"aws:region": REGION, **values}
        path.write_text(yaml.safe_dump(content), "utf-8")

    def run(
        self,
        *command: str,
        status: int | None = 0,
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Runs a command in a folder of the project. Fails unless it ends with `status`; None allows any."""
        result = subprocess.run(
            command,
            cwd=self.project / folder,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        output = Output(result.stdout, result.returncode)
        assert status in (None, output.status), f"{' '.join(command)}: {output.status}\n{output.text}"
        return output

    def pulumi(self, *arguments: str, status: int | None = 0, **options: Any) -> Output:
        """Runs the CLI."""
        return self.run("pulumi", *arguments, status=status, **options)

    def up(self, *arguments: str, status: int | None = 0, **options: Any) -> Output:
        """Runs `pulumi up` without the preview before it, which would double the time."""
        return self.pulumi("up", "--skip-preview", *arguments, status=status, **options)

    @contextmanager
    def changes(self) -> Iterator[Callable[[], Changes]]:
        """Returns a function that says what has happened to the account since the block began."""
        account = Account(self.account_file)
        before = len(account.calls())
        yield lambda: _changes(account, before)

    def resources(self) -> list[Stored]:
        """Returns what is in the account."""
        return Account(self.account_file).resources()

    def calls(self) -> list[ProviderCall]:
        """Returns what has been asked of the account, in its order."""
        return Account(self.account_file).calls()

    def state(self) -> dict[str, Any]:
        """Returns the deployment as `pulumi stack export` prints it."""
        exported: dict[str, Any] = json.loads(self.pulumi("stack", "export").text)
        return exported

    def outputs(self) -> dict[str, Any]:
        """Returns the stack's outputs."""
        outputs: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json").text)
        return outputs


def _changes(account: Account, before: int) -> Changes:
    calls = account.calls()[before:]
    created = {(call.type, call.name) for call in calls if call.method == "create"}
    deleted = {(call.type, call.name) for call in calls if call.method == "delete"}
    updated: dict[tuple[str, str], frozenset[str]] = {}
    for call in calls:
        if call.method == "update":
            changed = changed_inputs(call.old_inputs, call.inputs)
            label = call.type, call.name
            updated[label] = updated.get(label, frozenset()) | changed
    return Changes(
        created=frozenset(created - deleted),
        updated=updated,
        replaced=frozenset(created & deleted),
        deleted=frozenset(deleted - created),
    )


class Deployed:
    """Workspaces with a stack that is deployed already; each is made once for all tests and workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, stack: str, folder: Path) -> Workspace:
        """Returns a workspace of the test's own with one of STACKS, or `defaults`, deployed."""
        workspace = self._made(stack).copy(folder)
        workspace.environment["PULUMI_STACK"] = stack
        return workspace

    def _made(self, stack: str) -> Workspace:
        folder = self._folder / stack
        with open(self._folder / f"{stack}.lock", "w") as lock:  # noqa: PTH123  flock requires the file
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "finished").exists():
                shutil.rmtree(folder, ignore_errors=True)
                workspace = Workspace.make(folder)
                workspace.init(stack, STACKS.get(stack, {}))
                (folder / "up.txt").write_text(workspace.up().text, "utf-8")
                (folder / "finished").touch()
        return Workspace(folder)
