"""The operator's commands run here as a user runs them, on the backend in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from local.memory.backend import OUTPUTS, MemoryBackend
from local.memory.functions import ENVIRONMENT, invoke_task
from tests.functions.conftest import backend

__all__ = ["OUTPUTS", "backend"]

# Powertools reads these when it is imported, which the tests here do while they are collected.
for _name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
    os.environ.setdefault(_name, ENVIRONMENT[_name])


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote, with the line breaks of the screen taken out."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, decoded."""
        return json.loads(self.out)


Ops = Callable[..., Said]


@pytest.fixture
def ops(backend: MemoryBackend, tmp_path: Path) -> Ops:
    """Runs `python -m ops` with these arguments on the stack of `backend`, with `typed` on standard input."""
    from ops.cli import app

    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))

    def run(*arguments: str, typed: str = "") -> Said:
        result = CliRunner().invoke(app, [*arguments, "--outputs", str(file)], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        out = result.stdout if "--json" in arguments else " ".join(result.stdout.split())
        return Said(result.exit_code, out, " ".join(result.stderr.split()))

    return run


@pytest.fixture
def failed_order(backend: MemoryBackend) -> str:
    """The id of an order that failed in its third attempt, handed over and with two of ten pieces held."""
    order_id = backend.create_validated_order({backend.create_product(stock=10): 2})
    backend.reserve(order_id)
    reservation = {**backend.stored_order(order_id)["reservation"], "handedOver": True}
    backend.set_order(order_id, reservation=reservation, attempt=3)
    invoke_task("update_order_status", order_id, 3, status="FAILED", reason="attempts_used_up: no end")
    backend.take_events()
    backend.take_messages()
    return order_id


def product_of(backend: MemoryBackend, order_id: str) -> str:
    """The product on an order's first line."""
    return str(backend.stored_order(order_id)["items"][0]["productId"])
