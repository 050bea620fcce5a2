"""Every `python -m ops` command of a document is accepted by the parser of the commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from local.engine.program import PROJECT_ROOT
from ops.cli import app
from tests.documents.shell import commands, words
from tests.documents.test_references import PAGES

_OPS = "python -m ops "


def operator_commands(document: str) -> list[str]:
    """The arguments of each `python -m ops` command. A mention without arguments is none."""
    return list(
        dict.fromkeys(part for command in commands(document) for part in command.text.split(_OPS)[1:])
    )


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Result]:
    """Parses arguments as `python -m ops` does, and connects to nothing. Exit code 2 is a wrong usage."""

    def accept(*_: object, **__: object) -> None:
        raise typer.Exit(0)

    monkeypatch.setattr("ops.cli.operate", accept)
    monkeypatch.setattr("ops.cli._has_terminal", lambda: True)
    monkeypatch.setattr("ops.cli.find_stack_names", list)
    return lambda arguments: CliRunner().invoke(app, arguments)


DOCUMENTED = [
    pytest.param(command, id=f"{page.relative_to(PROJECT_ROOT)}: {command}")
    for page in PAGES
    for command in operator_commands(page.read_text("utf-8"))
]


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_is_accepted(command: str, parse: Callable[[list[str]], Result]) -> None:
    result = parse(words(command))
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    "command",
    [
        "orders show 1",
        "orders show --stack dev",
        "orders sho 1 --stack dev",
        "orders show 1 --stack dev --yes",
        "dlq redrive --limit 0 --stack dev",
    ],
)
def test_a_wrong_command_is_found(command: str, parse: Callable[[list[str]], Result]) -> None:
    assert parse(words(command)).exit_code == 2


def test_commands_are_found_in_blocks_and_sentences() -> None:
    sentence = "`python -m ops`, `python -m ops orders\n  stalled --stack dev` and"
    block = "```sh\npython -m ops dlq list \\\n  --stack dev | head   # all\n```\n"
    text = f"{sentence}\n\n{block}"
    assert [words(command) for command in operator_commands(text)] == [
        ["orders", "stalled", "--stack", "dev"],
        ["dlq", "list", "--stack", "dev"],
    ]
