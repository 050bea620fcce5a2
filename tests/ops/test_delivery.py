"""`python -m ops queue`: the orders queue is paused and resumed, with the reason in `overview`."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from tests.ops.conftest import Ops


def test_a_pause_stops_the_delivery_and_keeps_its_reason(backend: MemoryBackend, ops: Ops) -> None:
    result = ops("queue", "pause", "--reason", "down: ticket 4711", "--yes")
    assert result.out == "The orders queue is paused: order_consumer receives no messages."
    assert backend.cloud.mapping["State"] == "Disabling"
    delivery = ops("overview", "--json").json["delivery"]
    assert (delivery["isPaused"], delivery["reason"]) == (True, "down: ticket 4711")
    backend.wait(12)
    assert "orders queue paused: down: ticket 4711 12 min" in ops("overview").out


def test_a_resume_delivers_again_and_removes_the_reason(backend: MemoryBackend, ops: Ops) -> None:
    ops("queue", "pause", "--reason", "down", "--yes")
    result = ops("queue", "resume", "--yes", "--json").json
    assert (result["changed"], result["delivery"]) == (True, {"isPaused": False})
    assert backend.cloud.mapping == {"State": "Enabling", "Tags": {}}
    assert "paused" not in ops("overview").out


def test_a_repeat_changes_nothing_and_another_reason_keeps_the_time(backend: MemoryBackend, ops: Ops) -> None:
    ops("queue", "pause", "--reason", "down", "--yes")
    since = ops("overview", "--json").json["delivery"]["since"]
    again = ops("queue", "pause", "--reason", "down", "--yes")
    assert again.out == "The orders queue was paused for this reason before; nothing changed."
    ops("queue", "pause", "--reason", "still down", "--yes")
    assert ops("overview", "--json").json["delivery"] == {
        "isPaused": True,
        "reason": "still down",
        "since": since,
    }
    ops("queue", "resume", "--yes")
    assert ops("queue", "resume", "--yes").out == "The orders queue was not paused; nothing changed."


def test_a_queue_that_was_paused_by_hand_has_no_reason(backend: MemoryBackend, ops: Ops) -> None:
    backend.cloud.mapping["State"] = "Disabled"
    assert "orders queue paused: no reason was given" in ops("overview").out
    assert "The orders queue is paused (no reason was given). Resume it on" in (
        ops("queue", "resume", typed="n\n").err
    )


@pytest.mark.parametrize("reason", ["", "down, call Ada", "x" * 257, "a\nb"], ids=repr)
def test_a_reason_that_cannot_be_a_tag_is_refused(backend: MemoryBackend, ops: Ops, reason: str) -> None:
    result = ops("queue", "pause", "--reason", reason, "--yes")
    assert result.code == 1
    assert "is not allowed: use 1 to 256 letters, digits, spaces and _ . : / = + - @" in result.err
    assert backend.cloud.mapping == {"State": "Enabled", "Tags": {}}


def test_without_the_permission_to_tag_nothing_is_paused(backend: MemoryBackend, ops: Ops) -> None:
    with backend.hooked(Failing(refusal("AccessDeniedException"), "TagResource")):
        assert ops("queue", "pause", "--reason", "down", "--yes").code == 5
    assert backend.cloud.mapping["State"] == "Enabled"


@pytest.mark.parametrize(
    "command", [["pause", "--reason", "down"], ["resume"]], ids=lambda command: command[0]
)
def test_a_stack_without_the_mapping_is_reported(
    backend: MemoryBackend, ops: Ops, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(
        type(backend.cloud), "_lambda_ListEventSourceMappings", lambda *_: {"EventSourceMappings": []}
    )
    result = ops("queue", *command, "--yes")
    assert result.code == 4
    assert "The orders queue has no event source mapping: run `pulumi up --refresh`" in result.err
