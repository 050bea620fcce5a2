"""Behavior that all tasks of the workflow have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.domain.errors import InvalidInput
from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task


def test_a_malformed_task_is_refused(backend: MemoryBackend) -> None:
    with pytest.raises(InvalidInput, match="attempt"):
        invoke_task("validate_order", "o-1", "one")  # type: ignore[arg-type]


def test_every_log_line_of_a_task_names_order_and_correlation(
    backend: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    before = len(log_lines())
    invoke_task("validate_order", order_id)
    lines = log_lines()[before:]
    assert [(line["order_id"], line["correlation_id"]) for line in lines] == [(order_id, "cid-1")]
