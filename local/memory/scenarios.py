"""Scenarios: what clients, AWS and an operator do with one or two orders.

Without injected faults the orders reach the scenario's final statuses. With faults only the invariants hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from functions.shared.domain.baskets import Basket
from local.memory.backend import USER, MemoryBackend, installed
from local.memory.cloud import Hook
from local.memory.faults import FAULTS, Outage
from local.memory.invariants import check_final_state
from local.partners.calls import CallPlan
from local.partners.fulfillment import Behavior
from local.partners.shipping import ShippingPlan


@dataclass(frozen=True)
class Scenario:
    """A scenario, and the final statuses of its orders without faults."""

    play: Callable[[MemoryBackend], None]
    ends: tuple[str, ...]
    uses_fulfillment_system: bool = False
    is_express: bool = False

    @property
    def name(self) -> str:
        """The id of the scenario's tests."""
        kind = "express" if self.is_express else "standard"
        return f"{self.play.__name__}-{'shipped' if self.uses_fulfillment_system else 'in_place'}-{kind}"

    def new_backend(self) -> MemoryBackend:
        """Returns a new backend with two products."""
        backend = MemoryBackend(uses_fulfillment_system=self.uses_fulfillment_system)
        backend.cloud.is_express = self.is_express
        backend.add_products(p1=5, p2=3)
        return backend


def play(scenario: Scenario, hook: Hook) -> MemoryBackend:
    """Runs a scenario on a new backend until it is idle, and checks the invariants."""
    backend = scenario.new_backend()
    backend.cloud.hook = hook
    with installed(backend):
        scenario.play(backend)
        backend.run_until_idle()
        check_final_state(backend)
    return backend


def _run_to(backend: MemoryBackend, state: str) -> None:
    """Runs all executions up to a state, which is next."""
    backend.deliver_messages()
    for _ in range(30):
        waiting = [execution for execution in backend.running_executions() if execution.next.state != state]  # type: ignore[union-attr]
        if not waiting:
            return
        backend.step(waiting[0])


def happy(backend: MemoryBackend) -> None:
    """An order is fulfilled."""
    backend.place_order("k", p1=2, p2=1)
    backend.run_until_idle()


def unknown_product(backend: MemoryBackend) -> None:
    """An order contains a product that does not exist."""
    backend.place_order("k", p1=1, ghost=1)
    backend.run_until_idle()


def too_little_stock(backend: MemoryBackend) -> None:
    """The stock of one product is too low."""
    backend.place_order("k", p1=2, p2=4)
    backend.run_until_idle()


def refused(backend: MemoryBackend) -> None:
    """The fulfillment system refuses the order."""
    backend.cloud.partner.plan.append(Behavior.REFUSE)
    backend.place_order("k", p1=2, p2=1)
    backend.run_until_idle()


def cancelled_at_once(backend: MemoryBackend) -> None:
    """A client cancels an order before its message is delivered."""
    backend.cancel_order(backend.place_order("k", p1=2))
    backend.run_until_idle()


def cancelled_when_validated(backend: MemoryBackend) -> None:
    """A client cancels an order before FulfillOrder runs."""
    order_id = backend.place_order("k", p1=2)
    _run_to(backend, "FulfillOrder")
    backend.cancel_order(order_id)
    backend.run_until_idle()


def cancelled_too_late(backend: MemoryBackend) -> None:
    """A client tries to cancel an order after FulfillOrder has run."""
    order_id = backend.place_order("k", p1=2)
    _run_to(backend, "MarkFulfilled")
    backend.cancel_order(order_id)
    backend.run_until_idle()


def send_lost(backend: MemoryBackend) -> None:
    """The message of an order is lost; the requeue sends another."""
    backend.place_order("k", p1=2)
    backend.cloud.queue.clear()
    backend.run_until_idle()


def killed_before_fulfillment(backend: MemoryBackend) -> None:
    """The execution ends before FulfillOrder."""
    backend.place_order("k", p1=2)
    _run_to(backend, "FulfillOrder")
    backend.stop_executions()
    backend.run_until_idle()


def killed_after_fulfillment(backend: MemoryBackend) -> None:
    """The execution ends between FulfillOrder and MarkFulfilled."""
    backend.place_order("k", p1=2)
    _run_to(backend, "MarkFulfilled")
    backend.stop_executions()
    backend.run_until_idle()


def _kill_before_the_event(backend: MemoryBackend) -> str:
    """Ends every try of MarkFulfilled of a new order between its write and its event. Returns the id."""
    order_id = backend.place_order("k", p1=2)
    _run_to(backend, "MarkFulfilled")
    with backend.hooked(Outage("events", 0, 4, FAULTS["killed before"])):
        for execution in backend.running_executions():
            while execution.next is not None and execution.next.state == "MarkFulfilled":
                backend.step(execution)
    backend.run_workflow()
    return order_id


def killed_before_the_event(backend: MemoryBackend) -> None:
    """The task that makes an order final never publishes its event."""
    _kill_before_the_event(backend)
    backend.run_until_idle()


def returned_before_the_event(backend: MemoryBackend) -> None:
    """The order's return is reported before the event of its fulfillment is published."""
    order_id = _kill_before_the_event(backend)
    _report_return(backend, f"/orders/{order_id}/returns/early", "p1")
    backend.run_until_idle()


def killed_before_release(backend: MemoryBackend) -> None:
    """The execution of a refused order ends before ReleaseOrder."""
    backend.cloud.partner.plan.append(Behavior.REFUSE)
    backend.place_order("k", p1=2)
    _run_to(backend, "ReleaseOrder")
    backend.stop_executions()
    backend.run_until_idle()


def used_up_with_nothing_held(backend: MemoryBackend) -> None:
    """All attempts end before FulfillOrder."""
    backend.place_order("k", p1=2)
    for _ in range(3):
        backend.stop_executions()
        backend.cloud.queue.clear()
        backend.wait(11)
        backend.run_schedule()
    backend.run_until_idle()


def used_up_with_stock_held(backend: MemoryBackend) -> None:
    """All attempts end between FulfillOrder and MarkFulfilled."""
    backend.place_order("k", p1=2, p2=1)
    for _ in range(3):
        _run_to(backend, "MarkFulfilled")
        backend.stop_executions()
        backend.wait(11)
        backend.run_schedule()
    backend.run_until_idle()


def used_up_without_an_answer(backend: MemoryBackend) -> None:
    """The fulfillment system never confirms the shipment."""
    backend.cloud.partner.plan.extend(repeat(Behavior.MUTE, 40))
    backend.place_order("k", p1=2, p2=1)
    backend.run_until_idle()


def _retry(backend: MemoryBackend) -> None:
    """Retries the one order if it is FAILED. After a fault it may have another status."""
    (order_id,) = backend.orders()
    if backend.status(order_id) == "FAILED":
        backend.retry_order(order_id)
    backend.run_until_idle()


def retried_by_an_operator(backend: MemoryBackend) -> None:
    """An operator retries an order whose attempts are used up."""
    used_up_with_nothing_held(backend)
    _retry(backend)


def refused_and_retried(backend: MemoryBackend) -> None:
    """An operator retries a refused order."""
    refused(backend)
    _retry(backend)


def late_message(backend: MemoryBackend) -> None:
    """The message of the first attempt arrives after the requeue has started the second."""
    order_id = backend.place_order("k", p1=2)
    late = list(backend.cloud.queue)
    backend.cloud.queue.clear()
    backend.wait(11)
    backend.run_schedule()
    backend.cloud.queue.extend(late)
    backend.run_until_idle()
    assert order_id in backend.orders()


def delivered_twice(backend: MemoryBackend) -> None:
    """SQS delivers a message twice."""
    backend.place_order("k", p1=2)
    backend.cloud.queue.append(backend.cloud.queue[0]) if backend.cloud.queue else None
    backend.run_until_idle()


def two_for_the_last(backend: MemoryBackend) -> None:
    """The stock suffices for one of two orders."""
    backend.place_order("k1", p2=2)
    backend.place_order("k2", p2=2)
    backend.run_until_idle()


def _fill_basket(backend: MemoryBackend, **quantities: int) -> None:
    """Stores a basket without an API call."""
    added = {product: number for number, product in enumerate(quantities)}
    expires_at = int(backend.now.timestamp()) + 24 * 60 * 60
    basket = Basket(USER, 2, "b-1", quantities, added, backend.tick(), expires_at)
    backend.put("baskets", basket)


def checked_out(backend: MemoryBackend) -> None:
    """A client checks out a basket, and repeats until it gets the order."""
    _fill_basket(backend, p1=2, p2=1)
    backend.order_basket()
    backend.run_until_idle()
    assert len(backend.orders()) == 1


def checked_out_twice(backend: MemoryBackend) -> None:
    """A client checks out a basket in two tabs, and a third time when the order has ended."""
    _fill_basket(backend, p1=2, p2=1)
    for _ in range(2):
        backend.order_basket()
    backend.run_until_idle()
    backend.order_basket(version=2)
    backend.run_until_idle()
    assert len(backend.orders()) == 1


def checked_out_and_filled_again(backend: MemoryBackend) -> None:
    """A client checks out a basket by its version, puts a product in, and repeats the checkout."""
    _fill_basket(backend, p1=2)
    backend.order_basket(version=2)
    for _ in range(3):
        answer = backend.send("PUT", f"/users/{USER}/basket/items/p2", {"quantity": 1})
        if answer is not None and answer.status == 200:
            break
    backend.order_basket(version=2)
    backend.run_until_idle()
    assert [line.product_id for order in backend.orders().values() for line in order.items] == ["p1"]
    assert [basket.quantities for basket in backend.baskets()] == [{"p2": 1}]


def _plan(backend: MemoryBackend, **plan: Any) -> str:
    """Places an order that the fulfillment system ships from a minute after its answer on. Returns the id."""
    backend.cloud.partner.shipping = ShippingPlan(ships_after=60, **plan)
    order_id = backend.place_order("k", p1=2, p2=1)
    backend.run_workflow()
    return order_id


def shipped_in_two_parcels(backend: MemoryBackend) -> None:
    """The fulfillment system answers 202, ships two parcels and delivers both."""
    _plan(backend, parcels=2, delivers_after=90)
    backend.run_until_idle()


def shipped_between_the_reports(backend: MemoryBackend) -> None:
    """The fulfillment system reports each parcel when it ships, and each report twice."""
    _plan(backend, parcels=2)
    for _ in range(2):
        backend.wait(1.5)
        backend.deliver_reports(twice=True)
    backend.run_until_idle()


def shipped_out_of_order(backend: MemoryBackend) -> None:
    """The reports arrive newest first: a parcel's delivery before its shipment."""
    backend.cloud.partner.calls = CallPlan(out_of_order=True)
    _plan(backend, parcels=2, delivers_after=30)
    backend.run_until_idle()


def shipped_silently(backend: MemoryBackend) -> None:
    """The fulfillment system reports nothing, and answers what it shipped when it is asked."""
    backend.cloud.partner.calls = CallPlan(silent=True)
    _plan(backend, parcels=2, refuses=frozenset({"p2"}))
    backend.run_until_idle()


def shipped_before_the_answer(backend: MemoryBackend) -> None:
    """The only parcel is reported before the execution records that the order ships later."""
    backend.cloud.partner.shipping = ShippingPlan(ships_after=60)
    backend.place_order("k", p1=2, p2=1)
    _run_to(backend, "MarkFulfilled")
    backend.wait(1.5)
    backend.deliver_reports()
    backend.run_until_idle()


def partly_refused(backend: MemoryBackend) -> None:
    """The fulfillment system ships one line later, and refuses the other."""
    _plan(backend, refuses=frozenset({"p2"}))
    backend.run_until_idle()


def refused_line_by_line(backend: MemoryBackend) -> None:
    """The fulfillment system accepts the order, and refuses all lines later."""
    _plan(backend, refuses=frozenset({"p1", "p2"}))
    backend.run_until_idle()


def _report_return(backend: MemoryBackend, route: str, product: str) -> None:
    """Reports that one piece came back, and repeats until the API does not fail."""
    received = {"status": "RECEIVED", "lines": [{"productId": product, "quantity": 1, "restock": True}]}
    for _ in range(3):
        answer = backend.report(route, received)
        if answer is not None and answer.status < 500:
            break


def came_back(backend: MemoryBackend) -> None:
    """A client announces a return, which the fulfillment system receives. Another comes unannounced."""
    order_id = _plan(backend, returns_after=60)
    backend.run_until_idle()
    body = {"status": "REQUESTED", "lines": [{"productId": "p2", "quantity": 1}]}
    route = f"/orders/{order_id}/returns/announced"
    backend.send("PUT", route, body)
    _report_return(backend, route, "p2")
    backend.run_until_idle()


def cancelled_in_fulfillment(backend: MemoryBackend) -> None:
    """A client cancels before the first parcel, and the fulfillment system agrees."""
    backend.cancel_order(_plan(backend, parcels=2))
    backend.run_schedule()
    backend.run_until_idle()


def cancelled_after_the_first_parcel(backend: MemoryBackend) -> None:
    """A client cancels between two parcels, and the fulfillment system keeps the second."""
    order_id = _plan(backend, parcels=2)
    backend.wait(1.5)
    backend.deliver_reports()
    backend.cancel_order(order_id)
    backend.run_schedule()
    backend.run_until_idle()


def cancelled_before_the_report(backend: MemoryBackend) -> None:
    """The fulfillment system agrees to cancel. The report of a parcel that left before comes later."""
    backend.cancel_order(_plan(backend, parcels=2))
    backend.wait(1.5)
    backend.run_schedule()
    backend.run_until_idle()


def cancellation_declined(backend: MemoryBackend) -> None:
    """A client cancels, and the fulfillment system declines."""
    backend.cancel_order(_plan(backend, parcels=2, too_late=True))
    backend.run_schedule()
    backend.run_until_idle()


_EVERYWHERE = (
    (happy, ("FULFILLED",)),
    (unknown_product, ("REJECTED",)),
    (too_little_stock, ("REJECTED",)),
    (cancelled_at_once, ("CANCELLED",)),
    (cancelled_when_validated, ("CANCELLED",)),
    (cancelled_too_late, ("FULFILLED",)),
    (send_lost, ("FULFILLED",)),
    (killed_before_fulfillment, ("FULFILLED",)),
    (killed_after_fulfillment, ("FULFILLED",)),
    (killed_before_the_event, ("FULFILLED",)),
    (used_up_with_nothing_held, ("FAILED",)),
    (used_up_with_stock_held, ("FAILED",)),
    (retried_by_an_operator, ("FULFILLED",)),
    (late_message, ("FULFILLED",)),
    (delivered_twice, ("FULFILLED",)),
    (two_for_the_last, ("FULFILLED", "REJECTED")),
    (checked_out, ("FULFILLED",)),
    (checked_out_twice, ("FULFILLED",)),
    (checked_out_and_filled_again, ("FULFILLED",)),
)
# EXPRESS allows a second execution of the same name, and its executions cannot be described.
_EXPRESS = {
    happy,
    killed_after_fulfillment,
    killed_before_the_event,
    killed_before_release,
    used_up_with_stock_held,
    late_message,
    delivered_twice,
    shipped_in_two_parcels,
    shipped_silently,
    shipped_before_the_answer,
}
_WITH_FULFILLMENT_SYSTEM = (
    (refused, ("FAILED",)),
    (refused_and_retried, ("FULFILLED",)),
    (killed_before_release, ("FULFILLED",)),
    (used_up_without_an_answer, ("FAILED",)),
    (shipped_in_two_parcels, ("DELIVERED",)),
    (shipped_between_the_reports, ("FULFILLED",)),
    (shipped_out_of_order, ("DELIVERED",)),
    (shipped_silently, ("FULFILLED",)),
    (shipped_before_the_answer, ("FULFILLED",)),
    (partly_refused, ("FULFILLED",)),
    (refused_line_by_line, ("FAILED",)),
    (came_back, ("FULFILLED",)),
    (returned_before_the_event, ("FULFILLED",)),
    (cancelled_in_fulfillment, ("CANCELLED",)),
    (cancelled_after_the_first_parcel, ("FULFILLED",)),
    (cancelled_before_the_report, ("FULFILLED",)),
    (cancellation_declined, ("FULFILLED",)),
)
SCENARIOS = [
    Scenario(play, ends, uses_fulfillment_system=uses_fulfillment_system, is_express=is_express)
    for is_express in (False, True)
    for uses_fulfillment_system in (False, True)
    for play, ends in (*_EVERYWHERE, *(_WITH_FULFILLMENT_SYSTEM if uses_fulfillment_system else ()))
    if play in _EXPRESS or not is_express
]
