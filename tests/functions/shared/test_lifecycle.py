"""A move is stored even if its event cannot be published. The event is published later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.shared.domain.moves import Move
from functions.shared.domain.orders import OrderStatus
from local.memory.backend import MemoryBackend
from local.memory.cloud import Hook, Killed, ServiceCall
from local.memory.faults import FAULTS, Failing, FaultAt, Outage, refusal
from local.memory.functions import invoke_task
from tests.functions.requeue_stalled_orders.stalled import LONG_AGO, stalled_order


def test_a_cancelled_order_stays_in_the_open_index_until_its_event_is_published(
    backend: MemoryBackend,
) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    with backend.hooked(Failing(refusal("ResourceNotFoundException"), "PutEvents")):
        answer = backend.api.post(f"/orders/{order_id}/cancel")
    assert (answer.status, answer.body["status"]) == (200, "CANCELLED")
    assert "openShard" in backend.stored_order(order_id)


def test_a_retry_first_publishes_the_missing_event_of_the_failure(backend: MemoryBackend) -> None:
    from functions.orders_api import handler as orders_api

    order_id = stalled_order(backend)
    order = orders_api._orders.get(order_id)
    failed = Move(order_id=order_id, to=OrderStatus.FAILED, at=LONG_AGO, attempt=1, reason="x: y")
    orders_api._orders.move(failed, stay_open=True)
    orders_api._lifecycle.retry(orders_api._orders.get(order_id), stalled_after_minutes=10)
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderFailed"]
    with pytest.raises(Exception, match="PENDING in attempt 2"):
        orders_api._lifecycle.retry(order, stalled_after_minutes=10)


class RefusedEvent(Hook):
    """EventBridge accepts the request, and none of its events."""

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        if call.operation == "PutEvents":
            answer |= {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}


UNSENT: Mapping[str, Hook] = {
    "refused": Failing(refusal("AccessDeniedException"), "PutEvents"),
    "no answer": Failing(EndpointConnectionError(endpoint_url="https://events"), "PutEvents"),
    "not accepted": RefusedEvent(),
}
each_failure = pytest.mark.parametrize("hook", UNSENT.values(), ids=UNSENT)


@each_failure
def test_a_final_order_whose_event_is_not_sent_returns_to_the_open_index(
    backend: MemoryBackend, hook: Hook
) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    with backend.hooked(hook):
        backend.run_workflow()
    stored = backend.stored_order(order_id)
    assert stored["status"] == "REJECTED"
    assert stored["openShard"] == order_id[-1]
    backend.run_schedule()
    assert [event["detail-type"] for event in backend.take_events()][-1] == "OrderRejected"
    assert "openShard" not in backend.stored_order(order_id)


def test_an_event_that_a_retry_sends_is_published_once(backend: MemoryBackend) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    with backend.hooked(Outage("events", 0, 3, FAULTS["request lost"])):
        backend.run_workflow()
    assert "openShard" not in backend.stored_order(order_id)
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderRejected"]


@each_failure
def test_an_open_order_whose_event_is_not_sent_keeps_its_place_in_the_open_index(
    backend: MemoryBackend, hook: Hook
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    since = backend.stored_order(order_id)["dueAt"]
    pricing = invoke_task("validate_order", order_id)
    with backend.hooked(hook), pytest.raises(Exception, match=r"."):
        invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)
    stored = backend.stored_order(order_id)
    assert (stored["status"], stored["dueAt"]) == ("VALIDATED", since)


@each_failure
def test_a_cancel_succeeds_if_its_event_is_not_sent(backend: MemoryBackend, hook: Hook) -> None:
    order_id = backend.create_order("u-1", {"p-1": 1})
    with backend.hooked(hook):
        assert backend.api.post(f"/orders/{order_id}/cancel").status == 200
    assert backend.stored_order(order_id)["openShard"]


def test_each_move_of_a_fulfilled_order_is_published_once(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.run_until_idle()
    assert backend.status(order_id) == "FULFILLED"
    events = [event["detail-type"] for event in backend.take_events()]
    assert events == ["OrderValidated", "OrderFulfilled"]


@pytest.mark.parametrize("status", ["REJECTED", "FAILED"])
def test_an_execution_publishes_the_move_of_another_one_that_was_stopped(
    backend: MemoryBackend, status: str
) -> None:
    """Two EXPRESS executions of one attempt diverge: one validates the order, the other does not."""
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    pricing = invoke_task("validate_order", order_id)
    with pytest.raises(Killed), backend.hooked(FaultAt(0, FAULTS["killed after"])):
        invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)
    assert backend.take_events() == []
    invoke_task("update_order_status", order_id, status=status, reason="unknown_user: no user")
    events = [event["detail-type"] for event in backend.take_events()]
    assert events == ["OrderValidated", f"Order{status.title()}"]


def test_a_move_to_in_fulfillment_publishes_nothing_but_the_parcel_that_came_with_it(
    backend: MemoryBackend,
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 2})
    backend.reserve(order_id)
    backend.take_events()
    later = {"status": "IN_FULFILLMENT", "dueAt": "2026-06-09T00:00:00.000Z"}
    invoke_task("update_order_status", order_id, status="IN_FULFILLMENT", fulfillment=later)
    assert backend.take_events() == []
    parcel = {"shipmentId": "s-1", "quantities": [1]}
    backend.set_order(order_id, shipments=[parcel], unsent=["shipment/s-1"], dueAt=LONG_AGO)
    invoke_task("update_order_status", order_id, status="IN_FULFILLMENT", fulfillment=later)
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderShipped"]
    order = backend.order(order_id)
    assert (order.unsent, order.due_at) == ([], later["dueAt"])
