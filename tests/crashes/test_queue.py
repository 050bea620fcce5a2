"""The queue and its consumer: malformed messages, dead letters, and throttling by Step Functions."""

from __future__ import annotations

import pytest

from local.memory.backend import MAX_RECEIVES, MemoryBackend, installed
from local.memory.faults import Failing, refusal
from local.memory.invariants import check_final_state
from local.memory.queues import Message

pytestmark = pytest.mark.usefixtures("without_logs")


def throttled_starts(times: int) -> Failing:
    """Throttles the first starts of executions. botocore tries each start twice."""
    return Failing(refusal("ThrottlingException"), "StartExecution", times=2 * times)


@pytest.mark.parametrize(
    "bad", ["not json", "{}", "[" * 1200, '{"orderId": "a b", "attempt": 1, "correlationId": ""}']
)
def test_a_malformed_message_becomes_a_dead_letter_and_the_others_of_its_batch_are_processed(
    bad: str,
) -> None:
    backend = MemoryBackend()
    backend.add_products(p1=9)
    with installed(backend):
        for number in range(9):
            backend.place_order(f"k{number}", p1=1)
        backend.cloud.queue.insert(4, Message(bad))
        backend.cloud.hook = starts = throttled_starts(0)
        backend.run_until_idle()
        check_final_state(backend)
    assert [order.status.value for order in backend.orders().values()] == ["FULFILLED"] * 9
    assert starts.tries == 9
    assert list(backend.cloud.dead_letters) == [Message(bad, MAX_RECEIVES)]


def test_a_throttled_start_is_repeated_until_it_succeeds() -> None:
    backend = MemoryBackend()
    backend.add_products(p1=1)
    with installed(backend):
        order_id = backend.place_order("k", p1=1)
        backend.cloud.hook = throttled_starts(3)
        backend.run_until_idle()
        check_final_state(backend)
        assert backend.status(order_id) == "FULFILLED"
        assert backend.order(order_id).attempt == 1
    assert not backend.cloud.dead_letters


def test_an_order_whose_message_became_a_dead_letter_is_requeued() -> None:
    backend = MemoryBackend()
    backend.add_products(p1=1)
    with installed(backend):
        order_id = backend.place_order("k", p1=1)
        backend.cloud.hook = throttled_starts(MAX_RECEIVES)
        backend.run_until_idle()
        check_final_state(backend)
        assert (backend.status(order_id), backend.order(order_id).attempt) == ("FULFILLED", 2)
    assert len(backend.cloud.dead_letters) == 1


def test_a_dead_letter_redriven_after_the_requeue_changes_nothing() -> None:
    backend = MemoryBackend()
    backend.add_products(p1=2)
    with installed(backend):
        backend.place_order("k", p1=1)
        backend.cloud.hook = throttled_starts(MAX_RECEIVES)
        backend.run_until_idle()
        backend.cloud.queue.extend(backend.cloud.dead_letters)
        backend.run_until_idle()
        check_final_state(backend)
    assert backend.stock("p1") == 1
