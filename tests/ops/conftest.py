"""Runs the operator's commands on the backend in memory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from local.memory.backend import OUTPUTS, MemoryBackend
from local.memory.functions import ENVIRONMENT, invoke_task
from tests.functions.conftest import backend

__all__ = ["OUTPUTS", "backend"]

STACK: Final = "test (account 123456789012, eu-central-1)"
"""The stack that every command reports."""

# Powertools reads these when it is imported, which happens while the tests here are collected.
for _name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
    os.environ.setdefault(_name, ENVIRONMENT[_name])


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command, without the line that names the stack and without line breaks."""

    code: int
    out: str
    err: str
    stack: str | None
    """The stack that the command reported."""

    @property
    def json(self) -> Any:
        """Standard output, decoded."""
        return json.loads(self.out)


Ops = Callable[..., CommandResult]


@pytest.fixture
def ops(backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    """Runs `python -m ops` with these arguments on the stack of `backend`.

    With `typed` there is a terminal, on which the operator types that. Without it there is none.
    """
    from ops import cli

    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))

    def run(*arguments: str, typed: str | None = None) -> CommandResult:
        monkeypatch.setattr(cli, "_has_terminal", lambda: typed is not None)
        result = CliRunner().invoke(
            cli.app, [*arguments, "--stack", "test", "--outputs", str(file)], input=typed or ""
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        as_json = "--json" in arguments
        stack, out, err = _without_stack(result.stdout, result.stderr, as_json=as_json)
        return CommandResult(
            result.exit_code, out if as_json else " ".join(out.split()), " ".join(err.split()), stack
        )

    return run


@pytest.fixture
def named_stack(ops: Ops, tmp_path: Path) -> None:
    """Names the state machine of `ops` as Pulumi does."""
    arn = ENVIRONMENT["STATE_MACHINE_ARN"].replace(
        "order_fulfillment", "orderflow-order_fulfillment-test-0a1b2c"
    )
    (tmp_path / "outputs.json").write_text(json.dumps({**OUTPUTS, "stateMachineArn": arn}))


def _without_stack(out: str, err: str, *, as_json: bool) -> tuple[str | None, str, str]:
    """Cut off the line that names the stack: the first one of standard error with --json, else of output."""
    found = re.match(r"Stack: (.+)\n", err if as_json else out)
    if found is None:
        return None, out, err
    return (found[1], out, err[found.end() :]) if as_json else (found[1], out[found.end() :], err)


@pytest.fixture
def failed_order(backend: MemoryBackend) -> str:
    """The id of an order that failed in its third attempt: handed over, with two of ten pieces reserved."""
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    backend.reserve(order_id)
    reservation = {**backend.stored_order(order_id)["reservation"], "handedOverTo": "partner/orders"}
    backend.set_order(order_id, reservation=reservation, attempt=3)
    invoke_task("update_order_status", order_id, 3, status="FAILED", reason="attempts_used_up: no end")
    backend.take_events()
    backend.take_messages()
    return order_id


def product_of(backend: MemoryBackend, order_id: str) -> str:
    """The product on an order's first line."""
    return str(backend.stored_order(order_id)["items"][0]["productId"])
