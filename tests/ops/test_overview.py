"""`python -m ops overview`."""

from __future__ import annotations

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
    } | {count["status"]: (0, None) for count in counts["orders"][2:-1]}
    assert (counts["waitingMessages"], counts["deadLetters"]) == (1, 1)


def test_the_screen_has_a_row_per_status_and_queue(ops: Ops, failed_order: str) -> None:
    screen = ops("overview").out
    for words in ("PENDING", "FAILED", "messages that wait", "dead letters"):
        assert words in screen


def test_only_a_thousand_orders_of_a_status_are_counted(
    backend: MemoryBackend, ops: Ops, failed_order: str
) -> None:
    stored = backend.stored_order(failed_order)
    for number in range(1000):
        backend.put("orders", {**stored, "orderId": f"o-{number}"})
    failed = ops("overview", "--json").json["orders"][-1]
    assert (failed["orders"], failed["more"]) == (1000, True)
    assert "1000 or more" in ops("overview").out
