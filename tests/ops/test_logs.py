"""`python -m ops logs`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.shared import clock
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, ServiceCall
from tests.ops.conftest import OUTPUTS, Ops

pytestmark = pytest.mark.usefixtures("named_stack")

GROUP = "/aws/lambda/orderflow/test"


def write(
    backend: MemoryBackend, function: str, *lines: object, minutes_ago: int = 1, stack: str = "test"
) -> None:
    """Adds lines to a function's log, a millisecond apart."""
    at = clock.epoch(clock.now()) * 1000 - minutes_ago * 60_000
    backend.cloud.logs.setdefault(f"/aws/lambda/orderflow/{stack}/{function}", []).extend(
        {
            "timestamp": at + number,
            "logStreamName": "stream",
            "message": f"{line if isinstance(line, str) else json.dumps(line)}\n",
        }
        for number, line in enumerate(lines)
    )


def record(order_id: str, message: str, **more: object) -> dict[str, object]:
    return {"level": "INFO", "message": message, "timestamp": "T", "order_id": order_id, **more}


def printed(ops: Ops, *options: str) -> list[tuple[str, Any]]:
    """The function and the text, or the message of the record, of each line."""
    lines = ops("logs", *options, "--json").json
    return [
        (line["function"], line["line"]["message"] if isinstance(line["line"], dict) else line["line"])
        for line in lines
    ]


def test_lines_of_all_functions_of_the_stack_are_in_order_of_time(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "fulfill_order", "second", minutes_ago=4)
    write(backend, "orders_api", "first", minutes_ago=5)
    write(backend, "orders_api", "third", minutes_ago=3)
    write(backend, "orders_api", "of another stack", stack="test-2")
    expected = [("orders_api", "first"), ("fulfill_order", "second"), ("orders_api", "third")]
    assert printed(ops) == expected
    assert ops("logs").out == "orders_api first fulfill_order second orders_api third"


def test_lines_of_the_period_are_printed(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "orders_api", "old", minutes_ago=25 * 60)
    write(backend, "orders_api", "of today", minutes_ago=16)
    write(backend, "orders_api", "new", minutes_ago=14)
    assert [text for _, text in printed(ops)] == ["new"]
    assert [text for _, text in printed(ops, "--since", "1d")] == ["of today", "new"]


@pytest.mark.parametrize("period", ["", "15", "m", "-5m", "5 m", "1w", "1h30m"])
def test_another_text_is_no_period(ops: Ops, period: str) -> None:
    result = ops("logs", f"--since={period}")
    assert (result.code, "Invalid value for '--since'" in result.err) == (2, True)


def test_an_order_is_followed_over_all_functions_in_short_lines(backend: MemoryBackend, ops: Ops) -> None:
    write(
        backend, "orders_api", record("o-1", "order created"), record("o-2", "order created"), minutes_ago=3
    )
    write(
        backend,
        "fulfill_order",
        "not JSON o-1",
        '"o-1"',
        record("o-1", "refused", attempt=2, outcome="Refused"),
    )
    assert ops("logs", "--order", "o-1").out == (
        "orders_api T order created fulfill_order T attempt 2: refused (Refused)"
    )


def test_lines_with_a_text_of_one_function_are_printed(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "orders_api", record("o-1", "a fault"), record("o-1", "no error"), minutes_ago=2)
    write(backend, "fulfill_order", record("o-2", "a fault"))
    assert printed(ops, "--filter", "a fault") == [("orders_api", "a fault"), ("fulfill_order", "a fault")]
    assert printed(ops, "--filter", "a fault", "--function", "fulfill_order") == [
        ("fulfill_order", "a fault")
    ]
    assert printed(ops, "--filter", "a fault", "--order", "o-1") == [("orders_api", "a fault")]
    assert ops("logs", "--filter", "nothing").out == "There are no such lines."


def test_an_unknown_function_is_reported_with_the_known_ones(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "orders_api", "a line")
    write(backend, "fulfill_order", "a line")
    result = ops("logs", "--function", "orders")
    assert (result.code, result.err) == (
        4,
        "Error: There is no function 'orders'; use one of fulfill_order, orders_api.",
    )


def test_the_oldest_lines_are_printed_and_that_there_are_more(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "orders_api", "START RequestId: 1", "first", "END RequestId: 1", "third", minutes_ago=3)
    write(backend, "fulfill_order", "fourth", "fifth", minutes_ago=2)
    assert ops("logs", "--limit", "2").out == (
        "orders_api first orders_api third There are more than these 2; --limit shows more."
    )
    assert "more" not in ops("logs", "--limit", "4").out


def test_the_text_of_others_cannot_control_the_terminal(backend: MemoryBackend, ops: Ops) -> None:
    write(backend, "orders_api", "[red] \x1b[2J")
    assert ops("logs").out == "orders_api [red] \\u001b[2J"


class _Patterns(Hook):
    """Records the filter patterns that CloudWatch receives."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        if call.operation == "FilterLogEvents":
            self.found.append(request["filterPattern"])


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ((), ""),
        (("--order", "o-1"), '{ $.order_id = "o-1" }'),
        (("--filter", "a fault"), '"a fault"'),
        (("--order", "o-1", "--filter", "a fault"), '{ $.order_id = "o-1" }'),
        (("--filter", '"level":"ERROR"'), ""),
        (("--order", "*"), ""),
    ],
)  # fmt: skip
def test_cloudwatch_filters_what_a_pattern_can_express(
    backend: MemoryBackend, ops: Ops, options: tuple[str, ...], pattern: str
) -> None:
    write(backend, "orders_api")
    patterns = _Patterns()
    with backend.hooked(patterns):
        assert ops("logs", *options).code == 0
    assert patterns.found == [pattern]


def test_a_stack_that_pulumi_did_not_name_has_no_known_log_groups(ops: Ops, tmp_path: Path) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))
    result = ops("logs")
    assert (result.code, "log groups cannot be found" in result.err) == (3, True)
