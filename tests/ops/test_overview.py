"""`python -m ops overview`."""

from __future__ import annotations

from datetime import UTC, datetime

from local.memory.backend import MemoryBackend
from local.memory.queues import Message
from tests.ops.conftest import Ops


def test_the_overview_counts_orders_messages_and_dead_letters(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.cloud.dead_letters.append(Message("no JSON"))
    counts = ops("overview", "--json").json
    placed = backend.stored_order(order_id)["createdAt"]
    failed = backend.stored_order(failed_order)["createdAt"]
    assert {count["status"]: (count["orders"], count.get("oldest")) for count in counts["orders"]} == {
        "PENDING": (1, placed),
        "VALIDATED": (0, None),
        "FAILED": (1, failed),
        "IN_FULFILLMENT": (0, None),
    }
    assert (counts["waitingMessages"], counts["deadLetters"]) == (1, 1)


def test_the_screen_has_a_row_per_status_and_queue(ops: Ops, failed_order: str) -> None:
    screen = ops("overview").out
    for words in ("PENDING", "FAILED", "messages that wait", "dead letters"):
        assert words in screen


def test_orders_that_ended_are_counted_if_they_were_placed_in_the_last_day(
    backend: MemoryBackend, ops: Ops
) -> None:
    user, product = backend.create_user(), backend.create_product()
    ops("orders", "cancel", backend.create_order(user, {product: 1}), "--yes")
    backend.wait(23 * 60)
    backend.create_order(user, {product: 1})
    backend.run_workflow()
    ended = {count["status"]: count["orders"] for count in ops("overview", "--json").json["ended"]}
    assert ended == {"FULFILLED": 1, "DELIVERED": 0, "REJECTED": 0, "CANCELLED": 1}
    backend.wait(2 * 60)
    ended = {count["status"]: count["orders"] for count in ops("overview", "--json").json["ended"]}
    assert ended == {"FULFILLED": 1, "DELIVERED": 0, "REJECTED": 0, "CANCELLED": 0}


def alarm(name: str, state: str) -> dict[str, object]:
    return {
        "AlarmName": name,
        "StateValue": state,
        "StateUpdatedTimestamp": datetime(2026, 5, 31, tzinfo=UTC),
    }


def test_the_alarms_of_this_stack_are_listed(backend: MemoryBackend, ops: Ops, named_stack: None) -> None:
    backend.cloud.alarms = [
        alarm("orderflow-dead_letters-test-0a1b2c", "ALARM"),
        alarm("orderflow-api_5xx-test-0a1b2c", "OK"),
        alarm("orderflow-api_latency-test-0a1b2c", "INSUFFICIENT_DATA"),
        alarm("orderflow-dead_letters-dev-test-0a1b2c", "ALARM"),
        alarm("orderflow-dead_letters-prod-0a1b2c", "ALARM"),
    ]
    counts = ops("overview", "--json").json["alarms"]
    raised = {"name": "dead_letters", "since": "2026-05-31T00:00:00+00:00"}
    assert counts == {"total": 3, "withoutData": 1, "raised": [raised]}
    screen = ops("overview").out
    assert "alarm dead_letters 1 d 0 h" in screen
    assert "alarms 1 of 3; 1 have no data" in screen


def test_alarms_of_a_stack_that_pulumi_did_not_name_are_unknown(ops: Ops) -> None:
    assert ops("overview", "--json").json["alarms"] is None
    assert "alarms: unknown" in ops("overview").out


def test_only_a_thousand_orders_of_a_status_are_counted(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    stored = backend.stored_order(failed_order)
    for number in range(1000):
        backend.put("orders", {**stored, "orderId": f"o-{number}"})
    failed = ops("overview", "--json").json["orders"][-1]
    assert (failed["orders"], failed["more"]) == (1000, True)
    assert "1000 or more" in ops("overview").out
