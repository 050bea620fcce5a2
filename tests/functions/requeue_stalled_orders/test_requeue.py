"""The outcomes of a stalled order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.shared.domain.errors import OrderCancelled
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, ServiceCall
from local.memory.faults import Failing
from local.memory.functions import LambdaContext, invoke, invoke_task
from tests.functions.requeue_stalled_orders.stalled import (
    LONG_AGO,
    LimitedContext,
    Overtaking,
    requeue,
    stalled_order,
    start_execution,
)


class RefusedEntries(Hook):
    """Makes the queue refuse entries of its batches, by their ids."""

    def __init__(self, refused: list[set[str]]) -> None:
        self._refused = refused

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        if call.operation == "SendMessageBatch":
            refused = self._refused.pop(0)
            answer["Successful"] = [entry for entry in answer["Successful"] if entry["Id"] not in refused]
            answer["Failed"] = [{"Id": number, "Code": "InternalError"} for number in sorted(refused)]


def test_an_order_whose_message_was_lost_is_requeued_under_its_next_attempt(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    assert requeue() == {"requeued": 1, "complete": True}
    assert backend.take_messages() == [
        {"orderId": order_id, "attempt": 2, "correlationId": LambdaContext().aws_request_id}
    ]
    order = backend.stored_order(order_id)
    assert (order["status"], order["attempt"]) == ("PENDING", 2)
    assert order["dueAt"] > LONG_AGO


def test_all_pages_of_a_shard_are_processed(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    from functions.requeue_stalled_orders import requeue as requeueing

    monkeypatch.setattr(requeueing, "_PAGE", 1)
    order_ids = [stalled_order(backend) for _ in range(21)]
    assert len({backend.stored_order(order_id)["openShard"] for order_id in order_ids}) < 21
    for order_id in order_ids:  # they stay in the index
        start_execution(backend, order_id)
    context = LimitedContext([60_000] * 30)  # a page that is read again and again needs more
    assert requeue(context) == {"running": 21, "complete": True}


def test_a_requeued_order_is_not_requeued_again_at_once(backend: MemoryBackend) -> None:
    stalled_order(backend)
    requeue()
    assert requeue() == {"complete": True}
    assert len(backend.take_messages()) == 1


def test_an_order_that_is_open_for_a_short_time_is_not_changed(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    before = backend.stored_order(order_id)
    assert requeue() == {"complete": True}
    assert backend.stored_order(order_id) == before


def test_an_order_whose_execution_was_stopped_continues_at_that_step(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, validated=True)
    backend.reserve(order_id)
    requeue()
    assert invoke_task("validate_order", order_id, 2)["total"] == 2 * 1999
    invoke_task(
        "update_order_status",
        order_id,
        2,
        status="VALIDATED",
        pricing=invoke_task("validate_order", order_id, 2),
    )
    shipment = backend.reserve(order_id, attempt=2)
    invoke_task("update_order_status", order_id, 2, status="FULFILLED", fulfillment=shipment)
    assert backend.stored_order(order_id)["status"] == "FULFILLED"


def test_an_order_without_a_reservation_fails_after_its_last_attempt(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, attempt=3)
    assert requeue() == {"exhausted": 1, "complete": True}
    order = backend.stored_order(order_id)
    assert (order["status"], order["statusReason"]) == (
        "FAILED",
        "attempts_used_up: 3 attempts did not finish",
    )
    assert "openShard" not in order
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderFailed"]
    assert backend.take_messages() == []


def test_after_the_last_attempt_a_reservation_that_was_not_handed_over_is_released(
    backend: MemoryBackend,
) -> None:
    order_id = stalled_order(backend, validated=True)
    backend.reserve(order_id)
    (line,) = backend.stored_order(order_id)["items"]
    backend.set_order(order_id, attempt=3)
    assert requeue() == {"exhausted": 1, "complete": True}
    assert backend.stock(line["productId"]) == 5
    order = backend.stored_order(order_id)
    assert (order["status"], order["reservation"]["state"]) == ("FAILED", "RELEASED")


def test_after_the_last_attempt_a_reservation_that_was_handed_over_stays_held(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, validated=True)
    backend.reserve(order_id)
    (line,) = backend.stored_order(order_id)["items"]
    backend.set_order(
        order_id, attempt=3, reservation={"state": "HELD", "attempt": 1, "handedOverTo": "partner/orders"}
    )
    assert requeue() == {"exhausted": 1, "complete": True}
    order = backend.stored_order(order_id)
    assert (order["status"], order["reservation"]["state"]) == ("FAILED", "HELD")
    assert order["statusReason"] == (
        "attempts_used_up: 3 attempts did not finish; the reservation is held, because the fulfillment "
        "system may have shipped the order"
    )
    assert backend.stock(line["productId"]) == 3


def test_tasks_of_the_last_attempt_cannot_change_the_failed_order(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, validated=True, attempt=3)
    requeue()
    for task in ("validate_order", "release_order"):
        with pytest.raises(Exception, match=r"FAILED in attempt 4"):
            invoke_task(task, order_id, 3)
    with pytest.raises(Exception, match=r"FAILED in attempt 4"):
        backend.reserve(order_id, attempt=3)


def test_an_operators_retry_grants_all_attempts_again(backend: MemoryBackend) -> None:
    from functions.orders_api import handler as orders_api

    order_id = stalled_order(backend, attempt=3)
    requeue()
    orders_api._lifecycle.retry(orders_api._orders.get(order_id), stalled_after_minutes=10)
    for attempt in (6, 7):
        backend.set_order(order_id, dueAt=LONG_AGO)
        assert requeue() == {"requeued": 1, "complete": True}
        assert backend.stored_order(order_id)["attempt"] == attempt
    backend.set_order(order_id, dueAt=LONG_AGO)
    assert requeue() == {"exhausted": 1, "complete": True}
    order = backend.stored_order(order_id)
    assert [entry["status"] for entry in order["history"]] == ["PENDING", "FAILED", "PENDING", "FAILED"]
    assert order["statusReason"] == "attempts_used_up: 3 attempts did not finish"


@pytest.mark.parametrize("status", ["CANCELLED", "FAILED"])
def test_the_missing_event_of_a_final_order_is_published_and_the_order_leaves_the_open_index(
    backend: MemoryBackend, status: str
) -> None:
    order_id = stalled_order(backend)
    (entry,) = backend.stored_order(order_id)["history"]
    last = {"status": status, "at": LONG_AGO, "reason": "attempts_used_up: 3 attempts did not finish"}
    backend.set_order(order_id, status=status, history=[entry, last])
    assert requeue() == {"finished": 1, "complete": True}
    assert [event["detail"]["status"] for event in backend.take_events()] == [status]
    order = backend.stored_order(order_id)
    assert "openShard" not in order
    assert order["attempt"] == 1
    assert requeue() == {"complete": True}


def test_an_order_that_cannot_be_processed_does_not_stop_the_others(
    backend: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    bad = stalled_order(backend, items="nonsense")
    good = [stalled_order(backend) for _ in range(11)]  # two batches of messages
    assert requeue() == {"requeued": 11, "failed": 1, "complete": True}
    assert sorted(message["orderId"] for message in backend.take_messages()) == sorted(good)
    errors = [line for line in log_lines() if line["level"] == "ERROR"]
    assert [(line["message"], line["order_id"]) for line in errors] == [("stalled order not processed", bad)]


@pytest.mark.parametrize(
    ("operation", "skipped"),
    [("GetItem", 0), ("UpdateItem", 0), ("UpdateItem", 1)],
    ids=["before it is read", "before its new attempt", "before it fails"],
)
def test_an_order_that_is_cancelled_during_the_run_is_skipped(
    backend: MemoryBackend, operation: str, skipped: int
) -> None:
    order_id = stalled_order(backend, attempt=3)
    cancel = Overtaking(operation, lambda: backend.api.post(f"/orders/{order_id}/cancel"), skipped=skipped)
    with backend.hooked(cancel):
        assert requeue() == {"movedOn": 1, "complete": True}
    assert backend.stored_order(order_id)["status"] == "CANCELLED"
    with pytest.raises(OrderCancelled):
        invoke_task("validate_order", order_id)


def test_an_order_that_gets_another_attempt_before_it_fails_is_skipped(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, attempt=3)
    again = Overtaking("UpdateItem", lambda: backend.set_order(order_id, attempt=5), skipped=1)
    with backend.hooked(again):
        assert requeue() == {"movedOn": 1, "complete": True}
    assert backend.stored_order(order_id)["status"] == "PENDING"


def test_a_reservation_that_is_handed_over_before_its_release_stays_held(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend, validated=True)
    backend.reserve(order_id)
    backend.set_order(order_id, attempt=3)
    handed_over = {"state": "HELD", "attempt": 1, "handedOverTo": "partner/orders"}
    hand_over = Overtaking("TransactWriteItems", lambda: backend.set_order(order_id, reservation=handed_over))
    with backend.hooked(hand_over):
        assert requeue() == {"movedOn": 1, "complete": True}
    assert backend.stored_order(order_id)["reservation"] == handed_over


def test_an_order_that_the_index_still_lists_with_an_earlier_time_is_skipped(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    later = "9999-01-01T00:00:00.000Z"
    with backend.hooked(Overtaking("GetItem", lambda: backend.set_order(order_id, dueAt=later))):
        assert requeue() == {"movedOn": 1, "complete": True}
    assert backend.stored_order(order_id)["attempt"] == 1


def test_an_order_is_due_at_its_time(backend: MemoryBackend) -> None:
    from functions.requeue_stalled_orders import handler
    from functions.requeue_stalled_orders.requeue import Outcome

    stalled_order(backend)
    run = handler._open_requeue(LambdaContext())
    assert run.run(LONG_AGO, lambda: True, gives_attempts=True)
    assert run.outcomes[Outcome.REQUEUED] == 1


def test_a_refused_message_is_sent_again_once_and_then_in_a_later_run(backend: MemoryBackend) -> None:
    order_ids = sorted(stalled_order(backend) for _ in range(3))
    with backend.hooked(RefusedEntries([{"0", "2"}, {"1"}])):
        assert requeue() == {"requeued": 2, "failed": 1, "complete": True}
    for order_id in order_ids:
        backend.set_order(order_id, dueAt=LONG_AGO)
    assert requeue() == {"requeued": 3, "complete": True}


def test_a_run_without_a_queue_stops_before_it_uses_up_more_attempts(backend: MemoryBackend) -> None:
    order_ids = [stalled_order(backend) for _ in range(12)]
    unreachable = Failing(EndpointConnectionError(endpoint_url="https://sqs"), "SendMessageBatch")
    with backend.hooked(unreachable), pytest.raises(EndpointConnectionError):
        requeue()
    assert sorted(backend.stored_order(order_id)["attempt"] for order_id in order_ids) == [1, 1] + [2] * 10


def test_a_run_stops_before_its_timeout_and_reports_that_it_is_incomplete(backend: MemoryBackend) -> None:
    for _ in range(5):
        stalled_order(backend)
    # The first is read for the calls' deadline.
    report = invoke("requeue_stalled_orders", {}, LimitedContext([60_000, 60_000, 50_000, 20_001, 20_000]))
    assert (report["requeued"], report["complete"]) == (3, False)
    assert len(backend.take_messages()) == 3
    assert requeue() == {"requeued": 2, "complete": True}
