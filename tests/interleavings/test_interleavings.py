"""Executions, cancels and requeues of one order at once, interleaved at every call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.backend import World, installed
from local.memory.functions import LambdaContext, handler_of
from local.memory.interleaving import Actor, Setting, explore
from local.partners.fulfillment import Behavior

pytestmark = pytest.mark.usefixtures("without_logs")

KEY = "k"
CASES = "interleavings that differ"

Count = Callable[[str, int], None]

# How orders are fulfilled: in place, by a warehouse, or by one that refuses, or one that does not answer at
# once.
FULFILMENTS: dict[str, list[Behavior] | None] = {
    "in_place": None,
    "shipped": [],
    "refused": [Behavior.REFUSE, Behavior.REFUSE],
    "answer_lost": [Behavior.DROP_ANSWER],
}


@pytest.fixture(params=FULFILMENTS)
def fulfillment(request: pytest.FixtureRequest) -> list[Behavior] | None:
    """The behavior of the warehouse, or None without one."""
    return FULFILMENTS[request.param]


def new_world(fulfillment: list[Behavior] | None) -> World:
    """A world with one order, whose message is still on the queue."""
    world = World(is_outside=fulfillment is not None)
    world.cloud.is_express = True  # the harder case: no name keeps a second execution away
    world.cloud.warehouse.plan.extend(fulfillment or ())
    world.stock_up(p1=2)
    with installed(world):
        world.place(KEY, p1=2)
    return world


def execution(number: int) -> Actor:
    """Runs the execution that was started as this one, to its end."""

    def run(world: World) -> None:
        running = world.cloud.executions[number]
        while running.end is None:
            world.step(running)

    return run


def consume_and_execute(world: World) -> None:
    """Takes what is on the queue, and runs the execution that it starts."""
    before = len(world.cloud.executions)
    world.deliver()
    for number in range(before, len(world.cloud.executions)):
        execution(number)(world)


def requeue_and_execute(world: World) -> None:
    """Runs the schedule, and then the execution of the attempt that it began."""
    handler_of("requeue_stalled_orders")({}, LambdaContext())
    consume_and_execute(world)


def cancel(answers: list[int]) -> Actor:
    """Cancels the order, and notes the answer."""

    def run(world: World) -> None:
        (order_id,) = world.cloud.store.tables["orders"].items
        answers.append(world.cancel(order_id))

    return run


def settled(world: World) -> None:
    """The judge: whatever the order of calls, everything ends well."""
    world.check_always()
    world.settle()
    world.check()


def start_twice(world: World) -> None:
    world.cloud.queue.append(world.cloud.queue[0])
    with installed(world):
        world.deliver()


def test_two_executions_of_one_attempt_have_one_effect(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        world = new_world(fulfillment)
        start_twice(world)
        return world, [execution(0), execution(1)]

    explored = explore(setting, settled)
    count_cases(CASES, explored.situations)


def test_executions_of_two_attempts_have_one_effect(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        world = new_world(fulfillment)
        with installed(world):
            world.deliver()
        world.wait(11)
        return world, [execution(0), requeue_and_execute]

    explored = explore(setting, settled)
    count_cases(CASES, explored.situations)


def test_an_order_that_is_given_up_while_it_still_runs_is_not_shipped_after_its_release(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        world = new_world(fulfillment)
        with installed(world):
            for _ in range(2):
                world.cloud.queue.clear()
                world.wait(11)
                world.requeue()
            world.deliver()
        world.wait(11)
        return world, [execution(0), requeue_and_execute]

    explored = explore(setting, settled)
    count_cases(CASES, explored.situations)


def test_two_schedules_at_once_send_an_order_once(count_cases: Count) -> None:
    def setting() -> Setting:
        world = new_world(None)
        world.cloud.queue.clear()
        world.wait(11)
        return world, [requeue_and_execute, requeue_and_execute]

    def sent_once(world: World) -> None:
        (order,) = world.orders().values()
        assert order.attempt == 2
        settled(world)

    explored = explore(setting, sent_once)
    count_cases(CASES, explored.situations)


def test_two_orders_for_the_last_goods_sell_them_once(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    def setting() -> Setting:
        world = new_world(fulfillment)
        with installed(world):
            world.place("another", p1=1)
            world.deliver()
        return world, [execution(0), execution(1)]

    explored = explore(setting, settled)
    count_cases(CASES, explored.situations)


@pytest.mark.parametrize("executions", [1, 2])
def test_a_cancel_and_the_reservation_have_one_winner_and_the_client_is_told_which(
    fulfillment: list[Behavior] | None, executions: int, count_cases: Count
) -> None:
    if executions == 2 and fulfillment == FULFILMENTS["refused"]:
        pytest.skip("takes twenty seconds, and each half of it is tested above")
    answers: list[int] = []
    winners = set()

    def setting() -> Setting:
        answers.clear()
        world = new_world(fulfillment)
        if executions == 2:
            world.cloud.queue.append(world.cloud.queue[0])
        with installed(world):
            world.deliver()
        return world, [cancel(answers), *(execution(number) for number in range(executions))]

    def one_winner(world: World) -> None:
        settled(world)
        (order,) = world.orders().values()
        (answer,) = answers
        winners.add((answer, order.status.value))
        assert order.status.value not in {"PENDING", "VALIDATED"}

    explored = explore(setting, one_winner)
    count_cases(CASES, explored.situations)
    refused = fulfillment is not None and Behavior.REFUSE in fulfillment
    assert (200, "CANCELLED") in winners
    assert winners <= {(200, "CANCELLED"), (409, "FAILED" if refused else "FULFILLED")}
    assert len(winners) == 2


def test_a_cancel_and_the_requeue_have_one_winner(
    fulfillment: list[Behavior] | None, count_cases: Count
) -> None:
    answers: list[int] = []

    def setting() -> Setting:
        answers.clear()
        world = new_world(fulfillment)
        world.cloud.queue.clear()
        world.wait(11)
        return world, [cancel(answers), requeue_and_execute]

    def one_winner(world: World) -> None:
        settled(world)
        (order,) = world.orders().values()
        assert (answers == [200]) is (order.status.value == "CANCELLED")

    explored = explore(setting, one_winner)
    count_cases(CASES, explored.situations)


def test_a_retry_by_an_operator_and_the_late_end_of_the_first_attempt_do_no_harm(
    count_cases: Count,
) -> None:
    def setting() -> Setting:
        world = new_world([Behavior.REFUSE, Behavior.REFUSE])
        start_twice(world)
        with installed(world):
            execution(0)(world)

        def retry_and_execute(world: World) -> None:
            (order_id,) = world.cloud.store.tables["orders"].items
            world.retry(order_id)
            consume_and_execute(world)

        return world, [execution(1), retry_and_execute]

    explored = explore(setting, settled)
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
def test_an_execution_that_is_superseded_stops_where_it_stands_and_changes_nothing(
    state: str, way: str
) -> None:
    world = new_world(FULFILMENTS.get(way))
    if way == "sold_out":
        world.stock_up(p1=1)
    with installed(world):
        world.deliver()
        (running,) = world.running()
        while running.next is not None and running.next.state != state:
            world.step(running)
        world.wait(11)
        assert world.requeue()["requeued"] == 1
        (before,) = world.orders().values()
        while running.end is None:
            world.step(running)
        assert running.end.state == "Stopped"
        assert list(world.orders().values()) == [before]
        settled(world)
