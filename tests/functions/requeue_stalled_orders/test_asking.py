"""An order in fulfillment is asked about when nothing was reported, or a client asked to cancel it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec
import pytest

from functions.shared import clock
from local.memory.backend import MemoryBackend, installed
from local.memory.functions import LambdaContext, invoke
from local.partners.fulfillment import Behavior
from local.partners.shipping import ShippingPlan
from tests.functions.requeue_stalled_orders.stalled import LONG_AGO, Overtaking, measured, requeue

OVERDUE = 48 * 60 + 1  # minutes
LATER = 365 * 24 * 3600.0  # seconds, after all of these tests


@pytest.fixture
def shipping() -> Iterator[MemoryBackend]:
    """A backend whose fulfillment system accepts orders and ships them later."""
    backend = MemoryBackend(uses_fulfillment_system=True)
    backend.add_products(p1=5, p2=3)
    backend.cloud.partner.shipping = ShippingPlan(ships_after=LATER, parcels=2)
    with ExitStack() as stack:
        stack.enter_context(installed(backend))
        yield backend


@pytest.fixture
def backend(shipping: MemoryBackend) -> MemoryBackend:
    """The backend of the fixtures of all functions."""
    return shipping


def order_in_fulfillment(backend: MemoryBackend, **quantities: int) -> str:
    order_id = backend.place_order("k", **quantities)
    backend.run_workflow()
    assert backend.status(order_id) == "IN_FULFILLMENT"
    backend.take_events()
    return order_id


def ship_everything(backend: MemoryBackend, order_id: str) -> None:
    """Lets the time of the order's facts come."""
    order = backend.cloud.partner.orders[order_id]
    order.facts = [fact._replace(at=0.0) for fact in order.facts]


def ship_too_much(backend: MemoryBackend, order_id: str) -> None:
    """Lets the order's first parcel have more than was ordered."""
    order = backend.cloud.partner.orders[order_id]
    body = order.facts[0].body | {"lines": [{"productId": "p1", "quantity": 9}]}
    order.facts[0] = order.facts[0]._replace(at=0.0, body=body)


def names_of_events(backend: MemoryBackend) -> list[str]:
    return sorted(event["detail-type"] for event in backend.take_events())


def test_an_order_is_due_when_the_fulfillment_system_was_silent_for_48_hours(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.wait(OVERDUE - 2)
    assert requeue() == {"complete": True}
    shipping.wait(2)
    assert requeue() == {"answered": 1, "complete": True}
    shipping.wait(OVERDUE - 2)
    assert requeue() == {"complete": True}
    shipping.wait(2)
    assert requeue() == {"answered": 1, "complete": True}
    assert shipping.status(order_id) == "IN_FULFILLMENT"
    headers = shipping.cloud.partner.received[-1].headers
    assert headers["x-correlation-id"] == LambdaContext().aws_request_id


def test_a_run_counts_the_orders_that_it_asks_about(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        shipping.place_order(f"k{number}", p1=1)
    shipping.run_workflow()
    shipping.wait(OVERDUE)
    shipping.cloud.partner.plan.append(Behavior.BUSY)
    capsys.readouterr()
    assert requeue() == {"answered": 1, "unanswered": 1, "complete": True}
    assert measured(capsys, "OrdersOverdue") == (2,)


@pytest.mark.parametrize(("is_cancelled", "outcome"), [(False, "answered"), (True, "cancelAnswered")])
def test_a_report_that_contradicts_the_order_is_logged(
    shipping: MemoryBackend,
    log_lines: Callable[[], list[dict[str, Any]]],
    is_cancelled: bool,
    outcome: str,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    ship_too_much(shipping, order_id)
    if is_cancelled:
        shipping.cancel_order(order_id)
    shipping.wait(OVERDUE)
    assert requeue() == {outcome: 1, "complete": True}
    (error,) = [line for line in log_lines() if line["level"] == "ERROR"]
    assert error["reason"] == "9 of product p1 are more than was ordered: 2"


def test_the_answer_brings_the_parcels_whose_calls_were_lost(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2, p2=1)
    ship_everything(shipping, order_id)
    shipping.wait(OVERDUE)
    assert requeue() == {"answered": 1, "complete": True}
    order = shipping.order(order_id)
    assert (order.status.value, len(order.shipments)) == ("FULFILLED", 2)
    assert names_of_events(shipping) == ["OrderFulfilled", "OrderShipped", "OrderShipped"]
    assert order.due_at is None
    assert (shipping.stock("p1"), shipping.stock("p2")) == (3, 2)


def test_a_refusal_of_all_that_is_left_fails_the_order_and_releases_it(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    del shipping.cloud.partner.orders[order_id]
    shipping.cloud.partner.plan.append(Behavior.REFUSE)
    shipping.wait(OVERDUE)
    assert requeue() == {"answered": 1, "complete": True}
    order = shipping.order(order_id)
    assert (order.status.value, shipping.stock("p1")) == ("FAILED", 5)
    assert order.status_reason is not None
    assert order.status_reason.endswith("(422): we do not deliver there")
    assert names_of_events(shipping) == ["OrderFailed"]


def test_a_refusal_of_the_rest_is_recorded_with_at_most_200_characters_of_its_reason(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    report_parcel(shipping, order_id, p1=1)
    shipping.wait(OVERDUE)
    with shipping.hooked(Overtaking("POST", partial(refuse, "x" * 201))):
        assert requeue() == {"answered": 1, "complete": True}
    (refusal,) = shipping.order(order_id).refusals
    assert (refusal.id, refusal.quantities, refusal.reason) == ("refused", [1], "x" * 200)


def test_a_refusal_of_an_order_that_failed_meanwhile_changes_nothing(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)

    def fail_and_refuse() -> None:
        shipping.set_order(order_id, status="FAILED")
        refuse("out of stock")

    shipping.wait(OVERDUE)
    with shipping.hooked(Overtaking("POST", fail_and_refuse)):
        assert requeue() == {"answered": 1, "complete": True}
    assert shipping.order(order_id).refusals == []


def refuse(reason: str) -> None:
    """Raises what the client raises for a refusal."""
    from functions.shared.domain.errors import FulfillmentRefused

    raise FulfillmentRefused(reason)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_without_an_answer_the_order_is_asked_about_again_after_15_minutes(
    shipping: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]], is_cancelled: bool
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    if is_cancelled:
        shipping.cancel_order(order_id)
    shipping.wait(OVERDUE)
    shipping.cloud.partner.plan.append(Behavior.BUSY)
    assert requeue() == {"unanswered": 1, "complete": True}
    (warning,) = [line for line in log_lines() if line["level"] == "WARNING"]
    assert "503" in warning["reason"]
    shipping.wait(14)
    assert requeue() == {"complete": True}
    shipping.wait(1)
    assert requeue() == {"cancelAnswered" if is_cancelled else "answered": 1, "complete": True}


def test_after_three_requests_without_an_answer_a_run_asks_no_more(shipping: MemoryBackend) -> None:
    for number in range(5):
        shipping.place_order(f"k{number}", p1=1)
    shipping.run_workflow()
    shipping.wait(OVERDUE)
    shipping.cloud.partner.behavior = lambda: Behavior.BUSY
    before = len(shipping.cloud.partner.received)
    assert requeue() == {"unanswered": 5, "complete": True}
    assert len(shipping.cloud.partner.received) - before == 3


def test_a_client_asks_to_cancel_and_the_fulfillment_system_agrees(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    asked = shipping.api.post(f"/orders/{order_id}/cancel")
    assert (asked.status, asked.body["status"]) == (202, "IN_FULFILLMENT")
    assert asked.body["cancelRequestedAt"]
    assert names_of_events(shipping) == ["OrderCancellationRequested"]
    assert shipping.api.post(f"/orders/{order_id}/cancel").body == asked.body
    shipping.wait(1)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    assert (shipping.status(order_id), shipping.stock("p1")) == ("CANCELLED", 5)
    assert names_of_events(shipping) == ["OrderCancelled"]
    assert requeue() == {"complete": True}


def test_the_event_of_the_request_asks_for_this_order_at_once(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = [shipping.place_order(f"k{number}", p1=1) for number in range(2)]
    shipping.run_workflow()
    shipping.take_events()
    for order_id in orders:
        shipping.api.post(f"/orders/{order_id}/cancel")
    events = shipping.take_events()
    capsys.readouterr()
    before = len(shipping.cloud.partner.received)
    assert requeue(event=events[0]) == {"cancelAnswered": 1, "complete": True}
    assert [shipping.status(order_id) for order_id in orders] == ["CANCELLED", "IN_FULFILLMENT"]
    requests = shipping.cloud.partner.received[before:]
    assert len(requests) == 2  # the second asks for parcels
    assert [request.headers["x-correlation-id"] for request in requests] == [
        LambdaContext().aws_request_id
    ] * 2
    assert [json.loads(request.body)["attempt"] for request in requests] == [1, 1]
    assert requeue(event=events[0]) == {"movedOn": 1, "complete": True}
    assert "OrdersStalled" not in capsys.readouterr().out


@pytest.mark.parametrize("event", [None, "text", {"detail-type": "OrderShipped"}])
def test_every_other_event_runs_the_schedule(shipping: MemoryBackend, event: object) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.wait(16)
    assert invoke("requeue_stalled_orders", event)["cancelAnswered"] == 1
    assert shipping.status(order_id) == "CANCELLED"


def test_the_event_may_arrive_before_it_is_recorded_as_sent(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    (event,) = shipping.take_events()
    shipping.set_order(order_id, unsent=["cancellation"], dueAt=clock.minutes_after(clock.now(), 10))
    assert requeue(event=event) == {"cancelAnswered": 1, "complete": True}
    order = shipping.order(order_id)
    assert (order.status.value, order.unsent, order.due_at) == ("CANCELLED", [], None)


def test_without_an_answer_to_the_event_the_schedule_asks_again(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    (event,) = shipping.take_events()
    shipping.cloud.partner.plan.append(Behavior.BUSY)
    assert requeue(event=event) == {"unanswered": 1, "complete": True}
    shipping.wait(16)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    assert shipping.status(order_id) == "CANCELLED"


def test_a_client_asks_too_late_and_the_order_shows_it(shipping: MemoryBackend) -> None:
    shipping.cloud.partner.shipping = ShippingPlan(ships_after=LATER, parcels=2, too_late=True)
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.wait(1)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    order = shipping.api.get(f"/orders/{order_id}").body
    assert (order["status"], "cancelRefusedAt" in order) == ("IN_FULFILLMENT", True)
    late = shipping.api.post(f"/orders/{order_id}/cancel")
    assert (late.status, late.body["code"]) == (409, "too_late_to_cancel")
    assert requeue() == {"complete": True}


def test_a_request_to_cancel_is_repeated_until_there_is_an_answer(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.cloud.partner.plan.append(Behavior.DROP_ANSWER)
    shipping.wait(1)
    assert requeue() == {"unanswered": 1, "complete": True}
    shipping.wait(16)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    assert shipping.status(order_id) == "CANCELLED"


def test_a_refusal_of_everything_after_the_client_asked_to_cancel_cancels_the_order(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.wait(OVERDUE)
    del shipping.cloud.partner.orders[order_id]
    shipping.cloud.partner.plan.append(Behavior.REFUSE)
    with shipping.hooked(Overtaking("POST", lambda: shipping.cancel_order(order_id))):
        assert requeue() == {"answered": 1, "complete": True}
    assert shipping.status(order_id) == "CANCELLED"
    assert shipping.stock("p1") == 5


def test_a_parcel_that_left_before_the_answer_is_kept_and_only_the_rest_is_released(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.take_events()
    report_parcel(shipping, order_id, p1=1)
    shipping.wait(1)
    requeue()
    order = shipping.order(order_id)
    assert order.status.value == "FULFILLED"
    assert shipping.stock("p1") == 4


def test_a_parcel_whose_report_was_lost_is_recorded_before_the_agreed_cancellation(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    ship_first_parcel(shipping, order_id)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.take_events()
    shipping.wait(1)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    order = shipping.order(order_id)
    assert order.status.value == "FULFILLED"
    assert [(one.shipment_id, one.quantities, one.is_late) for one in order.shipments] == [
        ("parcel-1", [1], False)
    ]
    assert shipping.stock("p1") == 4
    assert names_of_events(shipping) == ["OrderFulfilled", "OrderShipped"]


def test_an_agreed_cancellation_waits_until_the_parcels_are_known(shipping: MemoryBackend) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    ship_first_parcel(shipping, order_id)
    shipping.api.post(f"/orders/{order_id}/cancel")
    shipping.cloud.partner.plan.extend([Behavior.ACCEPT, Behavior.DROP_ANSWER])
    shipping.wait(1)
    assert requeue() == {"unanswered": 1, "complete": True}
    assert (shipping.status(order_id), shipping.stock("p1")) == ("IN_FULFILLMENT", 3)
    shipping.wait(16)
    assert requeue() == {"cancelAnswered": 1, "complete": True}
    assert (shipping.status(order_id), shipping.stock("p1")) == ("FULFILLED", 4)


def ship_first_parcel(backend: MemoryBackend, order_id: str) -> None:
    order = backend.cloud.partner.orders[order_id]
    order.facts[0] = order.facts[0]._replace(at=0.0)


def report_parcel(backend: MemoryBackend, order_id: str, **quantities: int) -> None:
    from functions.requeue_stalled_orders import handler
    from functions.shared import clock
    from functions.shared.domain.shipping import ShipmentReport, record_shipment

    lines = [{"productId": product, "quantity": pieces} for product, pieces in quantities.items()]
    report = msgspec.convert({"lines": lines, "shippedAt": "2026-01-31T08:00:00Z"}, ShipmentReport)
    at = clock.now()
    decide: Any = partial(record_shipment, shipment_id="S-1", report=report, at=at)
    asking = handler._asking("c")
    assert asking is not None
    asking._reporting.record(order_id, decide, at=at)


def test_a_parcel_of_an_order_that_is_tried_again_does_not_delay_its_attempt(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    shipping.set_order(order_id, status="PENDING", attempt=2)
    report_parcel(shipping, order_id, p1=1)
    shipping.wait(11)
    assert requeue() == {"requeued": 1, "complete": True}


def test_the_queue_may_be_behind_and_the_fulfillment_system_is_asked_anyway(shipping: MemoryBackend) -> None:
    order_in_fulfillment(shipping, p1=2)
    shipping.wait(OVERDUE)
    shipping.measure_oldest_message(3600)
    assert requeue() == {"answered": 1, "complete": True, "skipped": True}


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_an_order_of_another_fulfillment_system_is_not_asked_about(
    shipping: MemoryBackend, is_cancelled: bool
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    reservation = shipping.stored_order(order_id)["reservation"]
    shipping.set_order(order_id, reservation={**reservation, "handedOverTo": "old.example.com"})
    if is_cancelled:
        shipping.cancel_order(order_id)
    before = len(shipping.cloud.partner.received)
    shipping.wait(OVERDUE)
    assert requeue() == {"unanswered": 1, "complete": True}
    shipping.wait(OVERDUE - 2)
    assert requeue() == {"complete": True}
    shipping.wait(2)
    assert requeue() == {"unanswered": 1, "complete": True}
    assert len(shipping.cloud.partner.received) == before


def test_no_order_gets_an_attempt_while_the_queue_is_behind(shipping: MemoryBackend) -> None:
    order_ids = [shipping.place_order(f"k{number}", p1=1) for number in range(2)]
    shipping.wait(11)
    shipping.measure_oldest_message(3600)
    assert requeue() == {"waiting": 2, "complete": True, "skipped": True}
    assert [shipping.order(order_id).attempt for order_id in order_ids] == [1, 1]


def test_the_missing_event_of_a_report_is_published_and_the_next_run_does_the_rest(
    shipping: MemoryBackend,
) -> None:
    order_id = order_in_fulfillment(shipping, p1=2)
    report_parcel(shipping, order_id, p1=1)
    shipping.take_events()
    shipping.set_order(order_id, unsent=["shipment/S-1"], dueAt=LONG_AGO)
    assert requeue() == {"finished": 1, "complete": True}
    assert names_of_events(shipping) == ["OrderShipped"]
    assert shipping.order(order_id).unsent == []
    assert requeue() == {"answered": 1, "complete": True}
