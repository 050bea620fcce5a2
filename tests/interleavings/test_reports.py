"""Reports on one order at the same time as others, interleaved at every call.

The stock is exact in every situation: `explore` checks the invariants there.
"""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.domain.orders import Order
from functions.shared.domain.shipping import refused, shipped
from local.memory.backend import MemoryBackend, installed
from local.memory.functions import invoke
from local.memory.interleaving import Actor, Setting, explore
from local.partners.calls import Call, CallPlan
from local.partners.fulfillment import Behavior
from local.partners.shipping import ShippingPlan
from tests.interleavings.test_interleavings import (
    CASES,
    Count,
    cancel,
    check_outcome,
    requeue_and_execute,
    run_execution,
)

pytestmark = pytest.mark.usefixtures("without_logs")

LINES = {"p1": 2, "p2": 1}
MINUTE = 60.0
Answers = list[tuple[str, int]]


def new_backend(*behavior: Behavior, **plan: Any) -> MemoryBackend:
    """Returns a backend with one order at a fulfillment system that sends no calls."""
    backend = MemoryBackend(uses_fulfillment_system=True)
    backend.cloud.is_express = True
    backend.cloud.partner.shipping = ShippingPlan(**{"ships_after": MINUTE, **plan})
    backend.cloud.partner.calls = CallPlan(silent=True)
    backend.cloud.partner.plan.extend(behavior)
    backend.add_products(p1=5, p2=3)
    with installed(backend):
        backend.place_order("k", **LINES)
    return backend


def in_fulfillment(**plan: Any) -> MemoryBackend:
    """Returns a backend whose order is IN_FULFILLMENT."""
    backend = new_backend(**plan)
    with installed(backend):
        backend.run_workflow()
    return backend


def the_order(backend: MemoryBackend) -> Order:
    (order,) = backend.orders().values()
    return order


def route_to(backend: MemoryBackend, kind: str, id_: str) -> str:
    return f"/orders/{the_order(backend).order_id}/{kind}/{id_}"


def calls(backend: MemoryBackend) -> list[Call]:
    """Returns the calls that the fulfillment system would send until now, in its order."""
    ((order_id, accepted),) = backend.cloud.partner.orders.items()
    return [Call(fact.at, order_id, fact) for fact in accepted.facts if fact.at <= backend.seconds()]


def report(answers: Answers, route: str, body: object) -> Actor:
    """Returns an actor that reports a fact, again as long as the answer is a 503, and records the answer."""

    def run(backend: MemoryBackend) -> None:
        while True:
            answer = backend.report(route, body)
            if answer is not None and answer.status != 503:
                answers.append((route.rsplit("/", 1)[1], answer.status))
                return

    return run


def report_call(answers: Answers, call: Call) -> Actor:
    return report(answers, call.route, call.body)


def recorded(backend: MemoryBackend) -> tuple[str, ...]:
    """Returns the order's status, and the sorted ids of its parcels and refusals."""
    order = the_order(backend)
    parcels = [one.shipment_id for one in order.shipments]
    return (order.status.value, *sorted([*parcels, *(one.refusal_id for one in order.refusals)]))


@pytest.fixture
def answers() -> Answers:
    """The id and the status of each report that was answered."""
    return []


def test_two_parcels_at_the_same_time_both_count(answers: Answers, count_cases: Count) -> None:
    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment(parcels=2)
        backend.wait(2.5)
        return backend, [report_call(answers, call) for call in calls(backend)]

    def check(backend: MemoryBackend) -> None:
        assert sorted(answers) == [("parcel-1", 201), ("parcel-2", 201)]
        assert recorded(backend) == ("FULFILLED", "parcel-1", "parcel-2")
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)


def test_the_same_parcel_twice_at_the_same_time_counts_once(answers: Answers, count_cases: Count) -> None:
    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment()
        backend.wait(1.5)
        return backend, [report_call(answers, call) for call in calls(backend) * 2]

    def check(backend: MemoryBackend) -> None:
        assert sorted(answers) == [("parcel-1", 200), ("parcel-1", 201)]
        assert recorded(backend) == ("FULFILLED", "parcel-1")
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)


def test_a_parcel_and_a_refusal_of_another_line_both_count(answers: Answers, count_cases: Count) -> None:
    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment(refuses=frozenset({"p2"}))
        backend.wait(1.5)
        return backend, [report_call(answers, call) for call in calls(backend)]

    def check(backend: MemoryBackend) -> None:
        assert sorted(answers) == [("parcel-1", 201), ("refusal-1", 201)]
        assert recorded(backend) == ("FULFILLED", "parcel-1", "refusal-1")
        assert (backend.stock("p1"), backend.stock("p2")) == (3, 3)
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)


def test_of_a_parcel_and_a_refusal_of_the_same_line_one_counts(answers: Answers, count_cases: Count) -> None:
    outcomes = set()

    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment()
        lines = [{"productId": "p1", "quantity": 2}]
        parcel = {"lines": lines, "shippedAt": "2026-06-01T00:00:00Z"}
        return backend, [
            report(answers, route_to(backend, "shipments", "parcel"), parcel),
            report(answers, route_to(backend, "refusals", "refusal"), {"lines": lines, "reason": "broken"}),
        ]

    def check(backend: MemoryBackend) -> None:
        order = the_order(backend)
        assert order.status == "IN_FULFILLMENT"
        is_shipped = shipped(order) == [2, 0]
        assert refused(order) == ([0, 0] if is_shipped else [2, 0])
        assert dict(answers) == {
            "parcel": 201 if is_shipped else 409,
            "refusal": 409 if is_shipped else 201,
        }
        assert backend.stock("p1") == (3 if is_shipped else 5)
        outcomes.add(is_shipped)

    count_cases(CASES, explore(setting, check).situations)
    assert outcomes == {True, False}


def cancel_and_ask(cancels: list[int]) -> Actor:
    """Returns an actor that cancels an order in fulfillment, and then asks the fulfillment system."""

    def run(backend: MemoryBackend) -> None:
        cancel(cancels)(backend)
        invoke("requeue_stalled_orders", {})

    return run


@pytest.mark.parametrize(
    ("parcels", "expected"),
    [
        (1, {(202, "FULFILLED", "parcel-1"), (409, "FULFILLED", "parcel-1")}),
        (
            2,
            {
                (202, "FULFILLED", "cancelled", "parcel-1"),
                (202, "FULFILLED", "parcel-1", "parcel-2"),  # asked after the second parcel
            },
        ),
    ],
    ids=["only_parcel", "first_parcel"],
)
def test_a_parcel_counts_once_however_its_order_is_cancelled(
    parcels: int, expected: set[tuple[int, str]], answers: Answers, count_cases: Count
) -> None:
    cancels: list[int] = []
    outcomes = set()

    def setting() -> Setting:
        answers.clear()
        cancels.clear()
        backend = in_fulfillment(parcels=parcels)
        backend.wait(1.5)
        (call,) = calls(backend)
        return backend, [report_call(answers, call), cancel_and_ask(cancels)]

    def check(backend: MemoryBackend) -> None:
        assert answers in ([("parcel-1", 201)], [("parcel-1", 200)])  # the answer may list it first
        (parcel,) = the_order(backend).shipments
        assert not parcel.is_late
        check_outcome(backend)
        outcomes.add((cancels[0], *recorded(backend)))

    count_cases(CASES, explore(setting, check).situations)
    assert outcomes == expected


def test_two_runs_that_ask_to_cancel_at_the_same_time_have_one_effect(count_cases: Count) -> None:
    events: list[object] = []

    def setting() -> Setting:
        backend = in_fulfillment(parcels=2)
        backend.wait(1.5)
        backend.take_events()
        with installed(backend):
            cancel([])(backend)
        events[:] = backend.take_events()
        return backend, [
            lambda _: invoke("requeue_stalled_orders", events[0]),
            lambda _: invoke("requeue_stalled_orders", {}),
        ]

    def check(backend: MemoryBackend) -> None:
        assert recorded(backend) == ("FULFILLED", "cancelled", "parcel-1")
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)


@pytest.mark.parametrize("is_first_lost", [False, True], ids=["reported", "lost"])
def test_the_answer_to_a_question_and_the_report_of_the_same_parcels_count_once(
    is_first_lost: bool, answers: Answers, count_cases: Count
) -> None:
    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment(parcels=2)
        backend.wait(2.5)
        first, second = calls(backend)
        if not is_first_lost:
            with installed(backend):
                report_call([], first)(backend)
        backend.wait(49 * 60)
        return backend, [requeue_and_execute, report_call(answers, second)]

    def check(backend: MemoryBackend) -> None:
        assert answers in ([("parcel-2", 200)], [("parcel-2", 201)])
        # The report may come first and postpone the question.
        assert is_first_lost or recorded(backend)[0] == "FULFILLED"
        check_outcome(backend)
        assert recorded(backend) == ("FULFILLED", "parcel-1", "parcel-2")

    count_cases(CASES, explore(setting, check).situations)


@pytest.mark.parametrize("parcels", [1, 2])
@pytest.mark.parametrize("behavior", [Behavior.ACCEPT, Behavior.DROP_ANSWER])
def test_a_slow_execution_keeps_what_the_last_report_led_to(
    parcels: int, behavior: Behavior, answers: Answers, count_cases: Count
) -> None:
    """The execution has the 202, or repeats the request, while the reports arrive."""

    def setting() -> Setting:
        answers.clear()
        backend = new_backend(behavior, parcels=parcels)
        with installed(backend):
            backend.deliver_messages()
            (running,) = backend.running_executions()
            while not backend.cloud.partner.orders:
                backend.step(running)
        backend.wait(2.5)
        *earlier, last = calls(backend)
        with installed(backend):
            for call in earlier:
                report_call(answers, call)(backend)
        return backend, [run_execution(0), report_call(answers, last)]

    def check(backend: MemoryBackend) -> None:
        assert {status for _, status in answers} <= {200, 201}
        assert recorded(backend) == ("FULFILLED", *(call.fact.id for call in calls(backend)))
        assert backend.cloud.executions[0].status == "SUCCEEDED"
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)


def explore_returns(answers: Answers, count_cases: Count, *returns: str) -> list[tuple[Answers, int]]:
    """Explores two reports of the same pieces that come back. Returns answers and stock of each."""
    outcomes = []

    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment()
        backend.wait(1.5)
        with installed(backend):
            report_call([], calls(backend)[0])(backend)
        body = {"status": "RECEIVED", "lines": [{"productId": "p1", "quantity": 2, "restock": True}]}
        return backend, [report(answers, route_to(backend, "returns", id_), body) for id_ in returns]

    def check(backend: MemoryBackend) -> None:
        outcomes.append((sorted(answers), backend.stock("p1")))
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)
    return outcomes


def test_a_return_that_is_received_twice_goes_back_to_stock_once(
    answers: Answers, count_cases: Count
) -> None:
    for outcome in explore_returns(answers, count_cases, "return", "return"):
        assert outcome == ([("return", 200), ("return", 201)], 5)


def test_of_two_returns_of_the_same_pieces_one_counts(answers: Answers, count_cases: Count) -> None:
    outcomes = explore_returns(answers, count_cases, "a", "b")
    assert {tuple(found) for found, _ in outcomes} == {
        (("a", 201), ("b", 409)),
        (("a", 409), ("b", 201)),
    }
    assert {stock for _, stock in outcomes} == {5}


@pytest.mark.parametrize(
    ("is_second_delivered", "status"),
    [(False, "FULFILLED"), (True, "DELIVERED")],
    ids=["shipped", "delivered"],
)
def test_the_delivery_of_a_parcel_and_a_second_parcel_both_count(
    is_second_delivered: bool, status: str, answers: Answers, count_cases: Count
) -> None:
    def setting() -> Setting:
        answers.clear()
        backend = in_fulfillment(parcels=2, delivers_after=1.5 * MINUTE)
        backend.wait(4)
        shipped_1, shipped_2, delivered_1, delivered_2 = calls(backend)
        with installed(backend):
            report_call([], shipped_1)(backend)
        second = delivered_2 if is_second_delivered else shipped_2
        return backend, [report_call(answers, delivered_1), report_call(answers, second)]

    def check(backend: MemoryBackend) -> None:
        assert sorted(answers) == [("parcel-1", 200), ("parcel-2", 201)]
        order = the_order(backend)
        assert order.status == status
        assert [bool(one.delivered_at) for one in order.shipments] == [True, is_second_delivered]
        check_outcome(backend)

    count_cases(CASES, explore(setting, check).situations)
