"""The schedule, when very many orders were forgotten at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook, ServiceCall

pytestmark = pytest.mark.usefixtures("without_logs")


class Counting(Hook):
    """Counts the calls."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        self.calls[call.operation] += 1


def test_a_thousand_stalled_orders_are_all_sent_in_batches_of_ten() -> None:
    backend = MemoryBackend()
    backend.add_products(p1=1000)
    with installed(backend):
        for number in range(1000):
            backend.place_order(f"k{number}", p1=1)
        backend.cloud.queue.clear()
        backend.wait(11)
        backend.cloud.hook = counting = Counting()
        report = backend.run_schedule()
        assert {name: count for name, count in report.items() if count} == {
            "requeued": 1000,
            "complete": True,
        }
        assert len(backend.cloud.queue) == 1000
        assert counting.calls["SendMessageBatch"] == 100
        assert counting.calls["Query"] <= 2 * 8  # 125 orders a shard are two pages
        assert counting.calls["UpdateItem"] == 1000
        assert {order.attempt for order in backend.orders().values()} == {2}
        backend.wait(1)
        assert backend.run_schedule()["requeued"] == 0
