"""A run of the requeue over a thousand stalled orders."""

from __future__ import annotations

from collections import Counter

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.faults import CallRecorder

pytestmark = pytest.mark.usefixtures("without_logs")


def test_a_thousand_stalled_orders_are_requeued_in_batches_of_ten() -> None:
    backend = MemoryBackend()
    backend.add_products(p1=1000)
    with installed(backend):
        for number in range(1000):
            backend.place_order(f"k{number}", p1=1)
        backend.cloud.queue.clear()
        backend.wait(11)
        backend.cloud.hook = recorder = CallRecorder()
        report = backend.run_schedule()
        calls = Counter(call.operation for call in recorder.calls)
        assert {name: count for name, count in report.items() if count} == {
            "requeued": 1000,
            "complete": True,
        }
        assert len(backend.cloud.queue) == 1000
        assert calls["SendMessageBatch"] == 100
        assert calls["Query"] <= 2 * 8  # 125 orders a shard are two pages
        assert calls["UpdateItem"] == 1000
        assert {order.attempt for order in backend.orders().values()} == {2}
        backend.wait(1)
        assert backend.run_schedule()["requeued"] == 0
