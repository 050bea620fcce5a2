"""The schedule, when very many orders were forgotten at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from local.memory.backend import World, installed
from local.memory.cloud import Call, Hook

pytestmark = pytest.mark.usefixtures("without_logs")


class Counting(Hook):
    """Counts the calls."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        self.calls[call.operation] += 1


def test_a_thousand_stalled_orders_are_all_sent_in_batches_of_ten() -> None:
    world = World()
    world.stock_up(p1=1000)
    with installed(world):
        for number in range(1000):
            world.place(f"k{number}", p1=1)
        world.cloud.queue.clear()
        world.wait(11)
        world.cloud.hook = counting = Counting()
        report = world.requeue()
        assert {name: count for name, count in report.items() if count} == {
            "requeued": 1000,
            "complete": True,
        }
        assert len(world.cloud.queue) == 1000
        assert counting.calls["SendMessageBatch"] == 100
        assert counting.calls["Query"] <= 2 * 8  # 125 orders a shard are two pages
        assert counting.calls["UpdateItem"] == 1000
        assert {order.attempt for order in world.orders().values()} == {2}
        world.wait(1)
        assert world.requeue()["requeued"] == 0
