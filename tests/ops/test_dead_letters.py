"""`python -m ops dlq`."""

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

# Nested more deeply than the JSON decoder accepts.
NESTED = "[" * 1200 + "]" * 1200


def add_dead_letters(backend: MemoryBackend, *bodies: object) -> None:
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        backend.cloud.dead_letters.append(Message(text))


def message(order_id: str, attempt: int = 1) -> dict[str, Any]:
    return {"orderId": order_id, "attempt": attempt, "correlationId": "cid-1"}


def count_visible(backend: MemoryBackend) -> int:
    """Return the number of visible dead letters."""
    return sum(not message.is_hidden for message in backend.cloud.dead_letters)


@pytest.fixture
def waiting_order(backend: MemoryBackend) -> str:
    """The id of an order whose message never reached the workflow."""
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return order_id


def test_every_message_is_listed_with_its_reason_and_kept(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    cancelled = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    ops("orders", "cancel", cancelled, "--yes")
    add_dead_letters(
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
    assert count_visible(backend) == 6


def test_a_message_of_an_earlier_attempt_is_overtaken(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    ops("orders", "retry", failed_order, "--yes")
    add_dead_letters(backend, message(failed_order, 3))
    result = ops("dlq", "list")
    assert "overtaken: the order is PENDING in attempt 4" in result.out
    assert result.out.endswith("1 message (1 overtaken)")


def test_an_empty_queue_is_reported(ops: Ops) -> None:
    assert ops("dlq", "list").out == "The dead-letter queue is empty."
    assert ops("dlq", "redrive", "--yes").out == "Sent 0 messages back; left 0 messages."


def test_messages_are_listed_up_to_the_limit_over_several_calls(backend: MemoryBackend, ops: Ops) -> None:
    add_dead_letters(backend, *(f"body {number}" for number in range(23)))
    assert len(ops("dlq", "list", "--json").json) == 23
    assert len(ops("dlq", "list", "--json", "--limit", "12").json) == 12
    assert count_visible(backend) == 23


def test_the_list_says_whether_there_are_more_messages(backend: MemoryBackend, ops: Ops) -> None:
    add_dead_letters(backend, *(f"body {number}" for number in range(12)))
    result = ops("dlq", "list", "--limit", "2")
    assert result.out.endswith("2 messages (2 malformed) There are more than these 2; --limit shows more.")
    assert ops("dlq", "list", "--limit", "10").out.endswith("these 10; --limit shows more.")
    assert ops("dlq", "list", "--limit", "12").out.endswith("12 messages (12 malformed)")
    assert count_visible(backend) == 12


def test_control_characters_in_a_body_are_escaped(backend: MemoryBackend, ops: Ops) -> None:
    add_dead_letters(backend, "\x9b31m \x7f \u202e")
    assert r"'\x9b31m \x7f \u202e'" in ops("dlq", "list").out
    result = ops("dlq", "list", "--json")
    assert r'"\u009b31m \u007f \u202e"' in result.out
    assert result.json[0]["body"] == "\x9b31m \x7f \u202e"


def test_a_redrive_sends_back_what_can_be_retried_and_keeps_the_rest(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    add_dead_letters(backend, message(waiting_order), "no JSON", message("nothing"))
    result = ops("dlq", "redrive", "--yes")
    assert result.code == 0
    assert result.out.endswith(
        "Sent 1 message (1 can be retried) back; left 2 messages (1 malformed, 1 unknown order)."
    )
    assert backend.take_messages() == [message(waiting_order)]
    assert count_visible(backend) == 2


def test_a_dry_run_changes_nothing_and_asks_nothing(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    add_dead_letters(backend, message(waiting_order), "no JSON")
    result = ops("dlq", "redrive", "--dry-run")
    assert result.out.endswith(
        "Would send 1 message (1 can be retried) back; would leave 1 message (1 malformed)."
    )
    assert backend.take_messages() == []
    assert count_visible(backend) == 2


def test_with_all_messages_that_fail_again_are_sent_back_unchanged(backend: MemoryBackend, ops: Ops) -> None:
    add_dead_letters(backend, '{"a": 1}')
    assert ops("dlq", "redrive", "--yes", "--all").out.startswith("Sent 1 message (1 malformed) back")
    assert backend.take_messages() == [{"a": 1}]
    assert count_visible(backend) == 0


def test_a_redrive_stops_at_its_limit(backend: MemoryBackend, ops: Ops, waiting_order: str) -> None:
    add_dead_letters(backend, *[message(waiting_order)] * 15)
    result = ops("dlq", "redrive", "--yes", "--limit", "12", "--json").json
    assert (len(result["sent"]), result["left"], result["dryRun"]) == (12, [], False)
    assert count_visible(backend) == 3
    assert len(backend.take_messages()) == 12


def test_the_question_of_a_redrive_gives_the_number_of_messages(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    add_dead_letters(backend, message(waiting_order))
    result = ops("dlq", "redrive", typed="n\n")
    assert result.code == 1
    assert (
        "The dead-letter queue has about 1 message. Send back those that can be processed on stack"
        in result.err
    )
    assert count_visible(backend) == 1


def test_an_interruption_between_sending_and_deleting_only_repeats_messages(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    add_dead_letters(backend, *(message(waiting_order, attempt) for attempt in range(1, 4)))
    with backend.hooked(Failing(KeyboardInterrupt(), "DeleteMessageBatch")):
        assert ops("dlq", "redrive", "--yes").code == 130
    assert count_visible(backend) == 3
    assert ops("dlq", "redrive", "--yes").code == 0
    assert count_visible(backend) == 0
    assert Counter(sent["attempt"] for sent in backend.take_messages()) == {1: 2, 2: 2, 3: 2}


def test_a_message_that_the_queue_does_not_accept_stays_and_is_reported(
    backend: MemoryBackend, ops: Ops, waiting_order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_dead_letters(backend, *[message(waiting_order)] * 3)
    call = botocore.client.BaseClient._make_api_call

    def refuse_first(self: Any, operation: str, parameters: Any) -> Any:
        if operation != "SendMessageBatch":
            return call(self, operation, parameters)
        rest = call(self, operation, {**parameters, "Entries": parameters["Entries"][1:]})
        refused = {"Id": parameters["Entries"][0]["Id"], "SenderFault": False, "Code": "InternalError"}
        return {**rest, "Failed": [refused]}

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse_first)
    result = ops("dlq", "redrive", "--yes")
    assert result.out.endswith("Sent 2 messages (2 can be retried) back; left 1 message (1 can be retried).")
    assert (result.code, result.err) == (
        1,
        "Error: The orders queue did not accept 1 message. Run the command again.",
    )
    assert count_visible(backend) == 1


def test_one_message_is_shown_and_deleted_and_the_others_stay(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    add_dead_letters(backend, "no JSON", message(waiting_order))
    ids = {letter["body"]: letter["messageId"] for letter in ops("dlq", "list", "--json").json}
    assert "Body: no JSON" in ops("dlq", "show", ids["no JSON"]).out
    assert ops("dlq", "show", ids["no JSON"], "--json").json["verdict"] == "malformed"
    refused = ops("dlq", "delete", ids["no JSON"], typed="n\n")
    assert (refused.code, "Delete it on stack" in refused.err) == (1, True)
    assert count_visible(backend) == 2
    assert ops("dlq", "delete", ids["no JSON"]).code == 2  # no terminal, no --yes
    assert ops("dlq", "delete", ids["no JSON"], "--yes").out == f"Deleted dead letter {ids['no JSON']}."
    assert [letter["orderId"] for letter in ops("dlq", "list", "--json").json] == [waiting_order]
    assert count_visible(backend) == 1


@pytest.mark.parametrize(
    "command", [["show"], ["delete", "--yes"], ["redrive", "--yes"]], ids=lambda command: command[0]
)
def test_an_unknown_message_has_the_exit_code_of_an_unknown_order(
    backend: MemoryBackend, ops: Ops, command: list[str]
) -> None:
    add_dead_letters(backend, "no JSON")
    result = ops("dlq", *command, "none")
    assert (result.code, result.err) == (4, "Error: There is no dead letter 'none'.")
    assert count_visible(backend) == 1


def test_one_message_is_sent_back_and_the_others_stay(
    backend: MemoryBackend, ops: Ops, waiting_order: str
) -> None:
    other = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    add_dead_letters(backend, message(waiting_order), message(other))
    ids = {letter["orderId"]: letter["messageId"] for letter in ops("dlq", "list", "--json").json}
    planned = ops("dlq", "redrive", ids[waiting_order], "--dry-run")
    assert planned.out == "Would send 1 message (1 can be retried) back; would leave 0 messages."
    refused = ops("dlq", "redrive", ids[waiting_order], typed="n\n")
    assert f"Dead letter {ids[waiting_order]} (can be retried: " in refused.err
    assert (refused.code, backend.take_messages()) == (1, [])
    result = ops("dlq", "redrive", ids[waiting_order], "--yes", "--json").json
    assert [letter["orderId"] for letter in result["sent"]] == [waiting_order]
    assert backend.take_messages() == [message(waiting_order)]
    assert [letter["orderId"] for letter in ops("dlq", "list", "--json").json] == [other]


def test_one_message_that_fails_again_is_sent_back_only_with_all(backend: MemoryBackend, ops: Ops) -> None:
    add_dead_letters(backend, '{"a": 1}')
    (letter,) = ops("dlq", "list", "--json").json
    refused = ops("dlq", "redrive", letter["messageId"], "--yes")
    assert refused.code == 1
    assert "would fail again (malformed: " in refused.err
    assert "Add --all to send it nevertheless." in refused.err
    assert count_visible(backend) == 1
    assert ops("dlq", "redrive", letter["messageId"], "--yes", "--all").code == 0
    assert backend.take_messages() == [{"a": 1}]


def test_one_message_and_a_limit_are_not_both_accepted(ops: Ops) -> None:
    result = ops("dlq", "redrive", "m-1", "--limit", "1", "--yes")
    assert (result.code, result.err) == (2, "Error: Write a MESSAGE_ID or --limit, and not both.")
