"""Runs the functions on a backend in memory, with the tables that the Pulumi program declares."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.memory.backend import MemoryBackend, installed


@pytest.fixture
def backend() -> Iterator[MemoryBackend]:
    """An empty stack, with the functions of this process connected to it."""
    with installed(MemoryBackend()) as installed_backend:
        yield installed_backend


@pytest.fixture
def log_lines(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Reads the log lines that the functions wrote since the fixture was made."""
    from functions.shared.observability import logger

    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
