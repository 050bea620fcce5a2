"""`python -m ops dlq`: why messages are dead, and sending back those that can live."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import botocore.client
import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing
from local.memory.queues import Message
from tests.ops.conftest import Ops

# Deeper than a JSON decoder goes.
NESTED = "[" * 1200 + "]" * 1200


def bury(backend: MemoryBackend, *bodies: object) -> None:
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        backend.cloud.dead_letters.append(Message(text))


def message(order_id: str, attempt: int = 1) -> dict[str, Any]:
    return {"orderId": order_id, "attempt": attempt, "correlationId": "cid-1"}


def dead(backend: MemoryBackend) -> int:
    """How many messages are dead, and in everybody's sight."""
    return sum(not message.is_hidden for message in backend.cloud.dead_letters)


@pytest.fixture
def waiting_order(backend: MemoryBackend) -> str:
    """The id of an order whose message never reached the workflow."""
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return order_id


def test_every_message_is_listed_with_the_reason_and_stays(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    cancelled = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", cancelled)
    bury(
        backend,
        message(waiting_order),
        message(cancelled),
        message("nothing"),
        "no JSON",
        NESTED,
        {"orderId": "x"},
    )
    letters = ops("dlq", "list", "--json").json
    assert {letter.get("orderId", letter["body"]): letter["verdict"] for letter in letters} == {
        waiting_order: "can be retried",
        cancelled: "overtaken",
        "nothing": "unknown order",
        "no JSON": "malformed",
        NESTED: "malformed",
        '{"orderId": "x"}': "malformed",
    }
    reasons = {letter["body"]: letter["reason"] for letter in letters}
    assert reasons["no JSON"].startswith("not an order message: JSON is malformed")
    assert "`attempt`" in reasons['{"orderId": "x"}']
    assert {letter["received"] for letter in letters} == {1}
    assert dead(backend) == 6


def test_a_message_of_an_earlier_attempt_is_overtaken(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "retry", failed_order, "--yes")
    bury(backend, message(failed_order, 3))
    said = ops("dlq", "list")
    assert "overtaken: the order is PENDING in attempt 4" in said.out
    assert said.out.endswith("1 message (1 overtaken)")


def test_an_empty_queue_is_told_so(ops: Ops) -> None:
    assert ops("dlq", "list").out == "The dead-letter queue is empty."
    assert ops("dlq", "redrive", "--yes").out == "Sent 0 messages back; left 0 messages."


def test_more_messages_than_sqs_hands_out_at_once_are_listed_up_to_the_limit(
    backend: MemoryBackend, ops: Ops
) -> None:
    bury(backend, *(f"body {number}" for number in range(23)))
    assert len(ops("dlq", "list", "--json").json) == 23
    assert len(ops("dlq", "list", "--json", "--limit", "12").json) == 12
    assert dead(backend) == 23


def test_that_there_are_more_messages_than_are_listed_is_told(backend: MemoryBackend, ops: Ops) -> None:
    bury(backend, *(f"body {number}" for number in range(12)))
    said = ops("dlq", "list", "--limit", "2")
    assert said.out.endswith("2 messages (2 malformed) There are more than these 2; --limit shows more.")
    assert ops("dlq", "list", "--limit", "10").out.endswith("these 10; --limit shows more.")
    assert ops("dlq", "list", "--limit", "12").out.endswith("12 messages (12 malformed)")
    assert dead(backend) == 12


def test_a_body_gives_the_terminal_no_commands(backend: MemoryBackend, ops: Ops) -> None:
    bury(backend, "\x9b31m \x7f \u202e")
    assert r"'\x9b31m \x7f \u202e'" in ops("dlq", "list").out
    said = ops("dlq", "list", "--json")
    assert r'"\u009b31m \u007f \u202e"' in said.out
    assert said.json[0]["body"] == "\x9b31m \x7f \u202e"


def test_a_redrive_sends_back_what_can_be_tried_again_and_leaves_the_rest(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    bury(backend, message(waiting_order), "no JSON", message("nothing"))
    said = ops("dlq", "redrive", "--yes")
    assert said.code == 0
    assert said.out.endswith(
        "Sent 1 message (1 can be retried) back; left 2 messages (1 malformed, 1 unknown order)."
    )
    assert backend.take_messages() == [message(waiting_order)]
    assert dead(backend) == 2


def test_a_dry_run_changes_nothing_and_asks_nothing(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    bury(backend, message(waiting_order), "no JSON")
    said = ops("dlq", "redrive", "--dry-run")
    assert said.out.endswith(
        "Would send 1 message (1 can be retried) back; would leave 1 message (1 malformed)."
    )
    assert backend.take_messages() == []
    assert dead(backend) == 2


def test_with_all_the_hopeless_ones_go_back_as_they_came(backend: MemoryBackend, ops: Ops) -> None:
    bury(backend, '{"a": 1}')
    assert ops("dlq", "redrive", "--yes", "--all").out.startswith("Sent 1 message (1 malformed) back")
    assert backend.take_messages() == [{"a": 1}]
    assert dead(backend) == 0


def test_a_redrive_stops_at_its_limit(backend: MemoryBackend, ops: Ops, waiting_order: str) -> None:
    bury(backend, *[message(waiting_order)] * 15)
    told = ops("dlq", "redrive", "--yes", "--limit", "12", "--json").json
    assert (len(told["sent"]), told["left"], told["dryRun"]) == (12, [], False)
    assert dead(backend) == 3
    assert len(backend.take_messages()) == 12


def test_without_yes_a_redrive_asks(backend: MemoryBackend, ops: Ops, waiting_order: str) -> None:
    bury(backend, message(waiting_order))
    said = ops("dlq", "redrive", typed="n\n")
    assert said.code == 1
    assert "About 1 messages to look at. Send back what can be on" in said.err
    assert dead(backend) == 1


def test_a_crash_between_sending_and_deleting_only_repeats_messages(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    bury(backend, *(message(waiting_order, attempt) for attempt in range(1, 4)))
    with backend.hooked(Failing(KeyboardInterrupt(), "DeleteMessageBatch")):
        assert ops("dlq", "redrive", "--yes").code == 130
    assert dead(backend) == 3
    assert ops("dlq", "redrive", "--yes").code == 0
    assert dead(backend) == 0
    assert Counter(sent["attempt"] for sent in backend.take_messages()) == {1: 2, 2: 2, 3: 2}


def test_a_message_that_the_queue_does_not_take_stays_dead(
    backend: MemoryBackend, ops: Ops, waiting_order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(backend, *[message(waiting_order)] * 3)
    call = botocore.client.BaseClient._make_api_call

    def refuse_first(self: Any, operation: str, parameters: Any) -> Any:
        if operation != "SendMessageBatch":
            return call(self, operation, parameters)
        rest = call(self, operation, {**parameters, "Entries": parameters["Entries"][1:]})
        refused = {"Id": parameters["Entries"][0]["Id"], "SenderFault": False, "Code": "InternalError"}
        return {**rest, "Failed": [refused]}

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse_first)
    said = ops("dlq", "redrive", "--yes")
    assert said.out.endswith("Sent 2 messages (2 can be retried) back; left 1 message (1 can be retried).")
    assert dead(backend) == 1
