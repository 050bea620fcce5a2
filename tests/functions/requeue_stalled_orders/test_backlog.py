"""A queue that is behind."""

from __future__ import annotations

from local.memory.backend import MemoryBackend
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


def test_an_order_that_waits_in_a_long_queue_is_left_alone(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    backend.measure_oldest_message(20, minutes_ago=5)
    backend.measure_oldest_message(601, minutes_ago=1)
    assert requeue() == {"skipped": True}
    assert backend.stored_order(order_id)["attempt"] == 1
    assert backend.take_messages() == []


def test_a_queue_that_has_caught_up_holds_nobody_back(backend: MemoryBackend) -> None:
    stalled_order(backend)
    backend.measure_oldest_message(3000, minutes_ago=5)
    backend.measure_oldest_message(20, minutes_ago=1)
    assert requeue() == {"requeued": 1, "complete": True}
