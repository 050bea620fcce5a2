"""Ways in which an order can go, each as a client, AWS and an operator make it go; without any fault.

A scenario says what it must end in when nothing goes wrong. With faults put in, only the invariants hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

from local.memory.backend import World, installed
from local.memory.cloud import Hook
from local.partners.fulfillment import Behavior


@dataclass(frozen=True)
class Scenario:
    """What happens, and in which statuses its orders end when nothing goes wrong."""

    play: Callable[[World], None]
    ends: tuple[str, ...]
    is_outside: bool = False
    is_express: bool = False

    @property
    def name(self) -> str:
        """For the test's id."""
        kind = "express" if self.is_express else "standard"
        return f"{self.play.__name__}-{'outside' if self.is_outside else 'in_place'}-{kind}"

    def world(self) -> World:
        """A fresh world to play it in, with two products."""
        world = World(is_outside=self.is_outside)
        world.cloud.is_express = self.is_express
        world.stock_up(p1=5, p2=3)
        return world


def play(scenario: Scenario, hook: Hook) -> World:
    """Play a scenario in a fresh world, to the end of all that it set going, and check the invariants."""
    world = scenario.world()
    world.cloud.hook = hook
    with installed(world):
        scenario.play(world)
        world.settle()
        world.check()
    return world


def _run_to(world: World, state: str) -> None:
    """Let the executions run until they are about to enter a state."""
    world.deliver()
    for _ in range(30):
        waiting = [execution for execution in world.running() if execution.next.state != state]  # type: ignore[union-attr]
        if not waiting:
            return
        world.step(waiting[0])


def happy(world: World) -> None:
    world.place("k", p1=2, p2=1)
    world.settle()


def unknown_product(world: World) -> None:
    world.place("k", p1=1, ghost=1)
    world.settle()


def too_little_stock(world: World) -> None:
    world.place("k", p1=2, p2=4)
    world.settle()


def refused(world: World) -> None:
    world.cloud.warehouse.plan.append(Behavior.REFUSE)
    world.place("k", p1=2, p2=1)
    world.settle()


def cancelled_at_once(world: World) -> None:
    world.cancel(world.place("k", p1=2))
    world.settle()


def cancelled_when_validated(world: World) -> None:
    order_id = world.place("k", p1=2)
    _run_to(world, "FulfillOrder")
    world.cancel(order_id)
    world.settle()


def cancelled_too_late(world: World) -> None:
    order_id = world.place("k", p1=2)
    _run_to(world, "MarkFulfilled")
    world.cancel(order_id)
    world.settle()


def send_lost(world: World) -> None:
    world.place("k", p1=2)
    world.cloud.queue.clear()
    world.settle()


def killed_before_fulfillment(world: World) -> None:
    world.place("k", p1=2)
    _run_to(world, "FulfillOrder")
    world.stop_executions()
    world.settle()


def killed_after_fulfillment(world: World) -> None:
    world.place("k", p1=2)
    _run_to(world, "MarkFulfilled")
    world.stop_executions()
    world.settle()


def killed_before_release(world: World) -> None:
    world.cloud.warehouse.plan.append(Behavior.REFUSE)
    world.place("k", p1=2)
    _run_to(world, "ReleaseOrder")
    world.stop_executions()
    world.settle()


def used_up_with_nothing_held(world: World) -> None:
    world.place("k", p1=2)
    for _ in range(3):
        world.stop_executions()
        world.cloud.queue.clear()
        world.wait(11)
        world.requeue()
    world.settle()


def used_up_with_goods_held(world: World) -> None:
    world.place("k", p1=2, p2=1)
    for _ in range(3):
        _run_to(world, "MarkFulfilled")
        world.stop_executions()
        world.wait(11)
        world.requeue()
    world.settle()


def used_up_without_an_answer(world: World) -> None:
    world.cloud.warehouse.plan.extend(repeat(Behavior.MUTE, 40))
    world.place("k", p1=2, p2=1)
    world.settle()


def retried_by_an_operator(world: World) -> None:
    order_id = world.place("k", p1=2)
    for _ in range(3):
        world.stop_executions()
        world.cloud.queue.clear()
        world.wait(11)
        world.requeue()
    world.settle()
    if world.status(order_id) == "FAILED":
        world.retry(order_id)
    world.settle()


def refused_and_retried(world: World) -> None:
    refused(world)
    (order_id,) = world.orders()
    if world.status(order_id) == "FAILED":
        world.retry(order_id)
    world.settle()


def late_message(world: World) -> None:
    order_id = world.place("k", p1=2)
    late = list(world.cloud.queue)
    world.cloud.queue.clear()
    world.wait(11)
    world.requeue()
    world.cloud.queue.extend(late)
    world.settle()
    assert order_id in world.orders()


def delivered_twice(world: World) -> None:
    world.place("k", p1=2)
    world.cloud.queue.append(world.cloud.queue[0]) if world.cloud.queue else None
    world.settle()


def two_for_the_last(world: World) -> None:
    world.place("k1", p2=2)
    world.place("k2", p2=2)
    world.settle()


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
    (used_up_with_nothing_held, ("FAILED",)),
    (used_up_with_goods_held, ("FAILED",)),
    (retried_by_an_operator, ("FULFILLED",)),
    (late_message, ("FULFILLED",)),
    (delivered_twice, ("FULFILLED",)),
    (two_for_the_last, ("FULFILLED", "REJECTED")),
)
# With EXPRESS the name of an execution keeps no second one away, and nobody knows which of them run.
_EXPRESS = {
    happy,
    killed_after_fulfillment,
    killed_before_release,
    used_up_with_goods_held,
    late_message,
    delivered_twice,
}
_OUTSIDE = (
    (refused, ("FAILED",)),
    (refused_and_retried, ("FULFILLED",)),
    (killed_before_release, ("FULFILLED",)),
    (used_up_without_an_answer, ("FAILED",)),
)
SCENARIOS = [
    Scenario(play, ends, is_outside=is_outside, is_express=is_express)
    for is_express in (False, True)
    for is_outside in (False, True)
    for play, ends in (*_EVERYWHERE, *(_OUTSIDE if is_outside else ()))
    if play in _EXPRESS or not is_express
]
