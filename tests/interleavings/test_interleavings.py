"""Executions, cancels and requeues of one order at the same time, interleaved at every call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.functions import invoke
from local.memory.interleaving import Actor, Setting, explore
from local.memory.invariants import check_final_state, check_invariants
from local.partners.fulfillment import Behavior

pytestmark = pytest.mark.usefixtures("without_logs")

KEY = "k"
CASES = "different interleavings"

Count = Callable[[str, int], None]

# None without a fulfillment system. A fulfillment system ships, refuses, or loses its answer.
FULFILLMENTS: dict[str, list[Behavior] | None] = {
    "no_fulfillment_system": None,
    "shipped": [],
    "refused": [Behavior.REFUSE, Behavior.REFUSE],
    "answer_lost": [Behavior.DROP_ANSWER],
}


@pytest.fixture(params=FULFILLMENTS)
def fulfillment(request: pytest.FixtureRequest) -> list[Behavior] | None:
    """The behavior of the fulfillment system, or None without one."""
    return FULFILLMENTS[request.param]


def new_backend(fulfillment: list[Behavior] | None) -> MemoryBackend:
    """Returns a backend with one order, whose message is in the queue."""
    backend = MemoryBackend(uses_fulfillment_system=fulfillment is not None)
    backend.cloud.is_express = True  # the harder case: a second execution under the same name can start
    backend.cloud.partner.plan.extend(fulfillment or ())
    backend.add_products(p1=2)
    with installed(backend):
        backend.place_order(KEY, p1=2)
    return backend


def run_execution(number: int) -> Actor:
    """Returns an actor that runs one execution to its end."""

    def run(backend: MemoryBackend) -> None:
        running = backend.cloud.executions[number]
        while running.end is None:
            backend.step(running)

    return run


def consume_and_execute(backend: MemoryBackend) -> None:
    """Delivers the messages, and runs the executions that they start."""
    before = len(backend.cloud.executions)
    backend.deliver_messages()
    for number in range(before, len(backend.cloud.executions)):
        run_execution(number)(backend)


def requeue_and_execute(backend: MemoryBackend) -> None:
    """Runs the requeue, and then the execution of the attempt that it begins."""
    invoke("requeue_stalled_orders", {})
    consume_and_execute(backend)


def cancel(answers: list[int]) -> Actor:
    """Returns an actor that cancels the order and records the answer."""

    def run(backend: MemoryBackend) -> None:
        (order_id,) = backend.cloud.store.tables["orders"].items
        answers.append(backend.cancel_order(order_id))

    return run


def check_outcome(backend: MemoryBackend) -> None:
    """Checks the invariants, now and after all orders are final."""
    check_invariants(backend)
    backend.run_until_idle()
    check_final_state(backend)


def deliver_twice(backend: MemoryBackend) -> None:
    backend.cloud.queue.append(backend.cloud.queue[0])
    with installed(backend):
        backend.deliver_messages()


def test_two_executions_of_one_attempt_have_one_effect(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        backend = new_backend(fulfillment)
        deliver_twice(backend)
        return backend, [run_execution(0), run_execution(1)]

    explored = explore(setting, check_outcome)
    count_cases(CASES, explored.situations)


def test_executions_of_two_attempts_have_one_effect(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        backend = new_backend(fulfillment)
        with installed(backend):
            backend.deliver_messages()
        backend.wait(11)
        return backend, [run_execution(0), requeue_and_execute]

    explored = explore(setting, check_outcome)
    count_cases(CASES, explored.situations)


def test_an_exhausted_order_whose_execution_still_runs_is_not_shipped_after_its_release(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        backend = new_backend(fulfillment)
        with installed(backend):
            for _ in range(2):
                backend.cloud.queue.clear()
                backend.wait(11)
                backend.run_schedule()
            backend.deliver_messages()
        backend.wait(11)
        return backend, [run_execution(0), requeue_and_execute]

    explored = explore(setting, check_outcome)
    count_cases(CASES, explored.situations)


def test_two_requeues_at_the_same_time_requeue_an_order_once(count_cases: Count) -> None:
    def setting() -> Setting:
        backend = new_backend(None)
        backend.cloud.queue.clear()
        backend.wait(11)
        return backend, [requeue_and_execute, requeue_and_execute]

    def check_requeued_once(backend: MemoryBackend) -> None:
        (order,) = backend.orders().values()
        assert order.attempt == 2
        check_outcome(backend)

    explored = explore(setting, check_requeued_once)
    count_cases(CASES, explored.situations)


def test_two_orders_for_the_last_stock_reserve_it_once(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        backend = new_backend(fulfillment)
        with installed(backend):
            backend.place_order("another", p1=1)
            backend.deliver_messages()
        return backend, [run_execution(0), run_execution(1)]

    explored = explore(setting, check_outcome)
    count_cases(CASES, explored.situations)


@pytest.mark.parametrize("executions", [1, 2])
def test_either_a_cancel_or_the_reservation_takes_effect_and_the_client_gets_the_result(
    fulfillment: list[Behavior] | None, executions: int, count_cases: Count
) -> None:
    if executions == 2 and fulfillment == FULFILLMENTS["refused"]:
        pytest.skip("takes 20 seconds, and both parts are tested above")
    answers: list[int] = []
    outcomes = set()

    def setting() -> Setting:
        answers.clear()
        backend = new_backend(fulfillment)
        if executions == 2:
            backend.cloud.queue.append(backend.cloud.queue[0])
        with installed(backend):
            backend.deliver_messages()
        return backend, [cancel(answers), *(run_execution(number) for number in range(executions))]

    def check_one_effect(backend: MemoryBackend) -> None:
        check_outcome(backend)
        (order,) = backend.orders().values()
        (answer,) = answers
        outcomes.add((answer, order.status.value))
        assert order.status.value not in {"PENDING", "VALIDATED"}

    explored = explore(setting, check_one_effect)
    count_cases(CASES, explored.situations)
    refused = fulfillment is not None and Behavior.REFUSE in fulfillment
    assert (200, "CANCELLED") in outcomes
    assert outcomes <= {(200, "CANCELLED"), (409, "FAILED" if refused else "FULFILLED")}
    assert len(outcomes) == 2


def test_a_cancel_during_the_requeue_succeeds_exactly_if_the_order_is_cancelled(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    answers: list[int] = []

    def setting() -> Setting:
        answers.clear()
        backend = new_backend(fulfillment)
        backend.cloud.queue.clear()
        backend.wait(11)
        return backend, [cancel(answers), requeue_and_execute]

    def check_one_effect(backend: MemoryBackend) -> None:
        check_outcome(backend)
        (order,) = backend.orders().values()
        assert (answers == [200]) is (order.status.value == "CANCELLED")

    explored = explore(setting, check_one_effect)
    count_cases(CASES, explored.situations)


def test_an_operators_retry_and_the_late_end_of_the_first_attempt_have_one_effect(
    count_cases: Count,
) -> None:
    def setting() -> Setting:
        backend = new_backend([Behavior.REFUSE, Behavior.REFUSE])
        deliver_twice(backend)
        with installed(backend):
            run_execution(0)(backend)

        def retry_and_execute(backend: MemoryBackend) -> None:
            (order_id,) = backend.cloud.store.tables["orders"].items
            backend.retry_order(order_id)
            consume_and_execute(backend)

        return backend, [run_execution(1), retry_and_execute]

    explored = explore(setting, check_outcome)
    count_cases(CASES, explored.situations)


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("ValidateOrder", "shipped"),
        ("MarkValidated", "shipped"),
        ("FulfillOrder", "shipped"),
        ("MarkFulfilled", "shipped"),
        ("ReleaseOrder", "refused"),
        ("MarkFailed", "refused"),
        ("MarkRejected", "sold_out"),
    ],
)
def test_a_superseded_execution_stops_and_changes_nothing(state: str, way: str) -> None:
    backend = new_backend(FULFILLMENTS.get(way))
    if way == "sold_out":
        backend.add_products(p1=1)
    with installed(backend):
        backend.deliver_messages()
        (running,) = backend.running_executions()
        while running.next is not None and running.next.state != state:
            backend.step(running)
        backend.wait(11)
        assert backend.run_schedule()["requeued"] == 1
        (before,) = backend.orders().values()
        while running.end is None:
            backend.step(running)
        assert running.end.state == "Stopped"
        assert list(backend.orders().values()) == [before]
        check_outcome(backend)
