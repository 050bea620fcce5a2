"""The queue and its consumer: bad messages, repeats, and a Step Functions that asks to slow down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local.memory.backend import MAX_RECEIVES, World, installed
from local.memory.cloud import Call, Hook, Message
from local.memory.store import client_error

pytestmark = pytest.mark.usefixtures("without_logs")


class Starts(Hook):
    """Counts the starts of executions, and refuses the first ones."""

    def __init__(self, refuse: int = 0) -> None:
        self.count = 0
        self._refuse = refuse

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        if call.operation == "StartExecution":
            self.count += 1
            if self.count <= self._refuse:
                raise client_error(call.operation, "ThrottlingException")


@pytest.mark.parametrize(
    "bad", ["not json", "{}", "[" * 1200, '{"orderId": "a b", "attempt": 1, "correlationId": ""}']
)
def test_one_bad_message_of_ten_ends_as_a_dead_letter_and_costs_the_others_nothing(bad: str) -> None:
    world = World()
    world.stock_up(p1=9)
    with installed(world):
        for number in range(9):
            world.place(f"k{number}", p1=1)
        world.cloud.queue.insert(4, Message(bad))
        world.cloud.hook = starts = Starts()
        world.settle()
        world.check()
    assert [order.status.value for order in world.orders().values()] == ["FULFILLED"] * 9
    assert starts.count == 9
    assert world.cloud.dead_letters == [Message(bad, MAX_RECEIVES)]


def test_a_throttled_start_comes_back_until_it_is_let_through() -> None:
    world = World()
    world.stock_up(p1=1)
    with installed(world):
        order_id = world.place("k", p1=1)
        world.cloud.hook = Starts(refuse=3)
        world.settle()
        world.check()
        assert world.status(order_id) == "FULFILLED"
        assert world.order(order_id).attempt == 1
    assert world.cloud.dead_letters == []


def test_an_order_whose_message_became_a_dead_letter_is_found_by_the_schedule() -> None:
    world = World()
    world.stock_up(p1=1)
    with installed(world):
        order_id = world.place("k", p1=1)
        world.cloud.hook = Starts(refuse=MAX_RECEIVES)
        world.settle()
        world.check()
        assert (world.status(order_id), world.order(order_id).attempt) == ("FULFILLED", 2)
    assert len(world.cloud.dead_letters) == 1


def test_a_dead_letter_that_is_redriven_after_all_does_no_harm() -> None:
    world = World()
    world.stock_up(p1=2)
    with installed(world):
        world.place("k", p1=1)
        world.cloud.hook = Starts(refuse=MAX_RECEIVES)
        world.settle()
        world.cloud.queue.extend(world.cloud.dead_letters)
        world.settle()
        world.check()
    assert world.stock("p1") == 1
