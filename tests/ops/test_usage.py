"""What all commands have in common: the stack they require and report, the question, the exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import local.stack
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from ops.cli import app
from ops.problems import ExitCode
from ops.stacks import PROJECT_ROOT
from tests.ops.conftest import OUTPUTS, STACK, Ops

pytestmark = pytest.mark.usefixtures("named_stack")

RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text("utf-8")
ALL = [
    ["overview", "--json"],
    ["reconcile", "--json"],
    ["logs", "--json"],
    ["orders", "show", "ID"],
    ["orders", "list"],
    ["orders", "stalled"],
    ["orders", "overdue"],
    ["orders", "cancel", "ID"],
    ["orders", "requeue", "ID"],
    ["orders", "retry", "ID"],
    ["orders", "release", "ID"],
    ["queue", "pause", "--reason", "a test"],
    ["queue", "resume"],
    ["events", "replay", "--from", "2026-01-31"],
    ["dlq", "list"],
    ["dlq", "redrive"],
]
ONE_ORDER = [command for command in ALL if "ID" in command]
READS = (
    "overview --json",
    "reconcile --json",
    "logs --json",
    "orders show",
    "orders list",
    "orders stalled",
    "orders overdue",
    "dlq list",
)
CHANGES = [command for command in ALL if " ".join(command[:2]) not in READS]


def name(command: list[str]) -> str:
    return " ".join(command[:2])


every_command = pytest.mark.parametrize("command", ALL, ids=name)
every_change = pytest.mark.parametrize("command", CHANGES, ids=name)


def on(order_id: str, command: list[str]) -> list[str]:
    """The command for this order."""
    return [order_id if argument == "ID" else argument for argument in command]


def with_yes(command: list[str]) -> list[str]:
    """The command, without a question."""
    return [*command, "--yes"] if name(command) in map(name, CHANGES) else command


# --- the stack --------------------------------------------------------------------------------------------


@every_command
def test_without_a_stack_the_error_names_the_option_and_the_stacks_that_are_found(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.cli.find_stack_names", lambda: ["local", "dev", "prod"])
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert result.stderr == "Error: --stack is missing. Write --stack NAME, with one of: local, dev, prod.\n"
    assert result.stdout == ""


def test_without_any_stack_the_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.cli.find_stack_names", list)
    result = CliRunner().invoke(app, ["dlq", "list"])
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: --stack is missing. Write --stack NAME. No stack was found: "
        "`python -m local up` starts one on this machine, `pulumi up` one on AWS.\n"
    )


def test_a_running_local_stack_is_not_chosen_automatically(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise AssertionError("no command may connect without --stack local")

    monkeypatch.setattr("ops.cli.find_stack_names", lambda: ["local"])
    monkeypatch.setattr(local.stack, "connect", connect)
    assert CliRunner().invoke(app, ["dlq", "list"]).exit_code == 2


@every_command
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_the_output_names_the_stack(
    ops: Ops, failed_order: str, command: list[str], options: list[str]
) -> None:
    assert ops(*with_yes(on(failed_order, command)), *options).stack == STACK


@every_command
def test_with_json_standard_output_is_one_document(
    ops: Ops, open_order: str, failed_order: str, command: list[str]
) -> None:
    arguments = with_yes(on(order_for(command, open_order, failed_order), command))
    result = ops(*dict.fromkeys([*arguments, "--json"]))
    assert (result.code, isinstance(result.json, dict | list)) == (0, True)


@every_change
def test_the_question_names_the_stack(ops: Ops, failed_order: str, command: list[str]) -> None:
    assert f"on stack {STACK}?" in ops(*on(failed_order, command), typed="n\n").err


# --- the question -----------------------------------------------------------------------------------------


@pytest.fixture
def open_order(backend: MemoryBackend) -> str:
    """The id of an order that can be cancelled."""
    return backend.create_order(backend.create_user(), {backend.create_product(): 1})


def order_for(command: list[str], open_order: str, failed_order: str) -> str:
    """An order that the command changes."""
    return open_order if command[1] in {"cancel", "requeue"} else failed_order


@every_change
def test_a_change_without_terminal_and_without_yes_is_refused_before_any_call(
    backend: MemoryBackend, ops: Ops, command: list[str]
) -> None:
    backend.cloud.hook = Failing(lambda call, _request: AssertionError(call))
    result = ops(*on("any", command))
    assert result.code == 2
    assert result.err == (
        f"Error: `{name(command)}` changes the stack and there is no terminal to ask for confirmation. "
        "Add --yes to confirm."
    )


@every_change
@pytest.mark.parametrize("typed", ["n\n", "\n"], ids=["no", "Enter"])
def test_a_change_that_is_not_confirmed_changes_nothing(
    backend: MemoryBackend, ops: Ops, open_order: str, failed_order: str, command: list[str], typed: str
) -> None:
    order_id = order_for(command, open_order, failed_order)
    before = backend.stored_order(order_id)
    result = ops(*on(order_id, command), typed=typed)
    assert result.code == 1
    assert result.err.endswith("Nothing was changed.")
    assert backend.stored_order(order_id) == before


@every_change
@pytest.mark.parametrize(("options", "typed"), [([], "y\n"), (["--yes"], None)], ids=["typed", "option"])
def test_a_confirmed_change_is_made(
    backend: MemoryBackend,
    ops: Ops,
    open_order: str,
    failed_order: str,
    command: list[str],
    options: list[str],
    typed: str | None,
) -> None:
    order_id = order_for(command, open_order, failed_order)
    before = backend.stored_order(order_id)
    assert ops(*on(order_id, command), *options, typed=typed).code == 0
    assert command[0] != "orders" or backend.stored_order(order_id) != before


@every_change
def test_an_interrupted_question_ends_as_any_interruption(
    ops: Ops, failed_order: str, command: list[str]
) -> None:
    result = ops(*on(failed_order, command), typed="")  # end of input, which is read like Ctrl-C
    assert (result.code, result.err.endswith("Nothing was changed.")) == (130, True)


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_a_terminal_is_recognized(tmp_path: Path, terminal: bool) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops", "dlq", "redrive", "--stack", "test", "--outputs", str(file)]
    # Nothing listens there: the command fails at its first call, unless it is refused before.
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    ended = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env=os.environ | nowhere,
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs if terminal else subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    os.close(ours)
    assert ended.returncode == (1 if terminal else 2)


# --- exit codes -------------------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusal("ThrottlingException"), 1),
        (refusal("ResourceNotFoundException"), 3),
        (refusal("AccessDeniedException"), 5),
        (refusal("ExpiredTokenException"), 6),
        (KeyboardInterrupt(), 130),
    ],
    ids=["failed", "no stack", "no permission", "no credentials", "interrupted"],
)
def test_an_exit_code_is_the_same_for_all_commands(
    backend: MemoryBackend, ops: Ops, command: list[str], error: BaseException, code: int
) -> None:
    backend.cloud.hook = Failing(error)
    assert ops(*with_yes(on("any", command))).code == code


@pytest.mark.parametrize("command", ONE_ORDER, ids=name)
def test_an_unknown_order_has_its_exit_code(ops: Ops, command: list[str]) -> None:
    assert ops(*with_yes(on("nothing", command))).code == 4


@every_command
def test_a_command_that_has_nothing_to_do_succeeds(
    backend: MemoryBackend, ops: Ops, open_order: str, failed_order: str, command: list[str]
) -> None:
    order_id = order_for(command, open_order, failed_order)
    assert ops(*with_yes(on(order_id, command))).code == 0
    assert ops(*with_yes(on(order_id, command))).code == 0


def test_the_runbook_describes_every_exit_code() -> None:
    table = re.search(r"^\| exit code .*?\n\n", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert table is not None
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table[0], re.MULTILINE)] == list(ExitCode)
