"""The requeue while the queue has a backlog."""

from __future__ import annotations

from local.memory.backend import MemoryBackend
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


def test_no_order_is_requeued_while_the_oldest_message_is_too_old(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    backend.measure_oldest_message(20, minutes_ago=5)
    backend.measure_oldest_message(601, minutes_ago=1)
    assert requeue() == {"skipped": True}
    assert backend.stored_order(order_id)["attempt"] == 1
    assert backend.take_messages() == []


def test_an_order_is_requeued_once_the_backlog_is_processed(backend: MemoryBackend) -> None:
    stalled_order(backend)
    backend.measure_oldest_message(3000, minutes_ago=5)
    backend.measure_oldest_message(20, minutes_ago=1)
    assert requeue() == {"requeued": 1, "complete": True}
