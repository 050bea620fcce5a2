"""Many orders at once, with faults. `python -m bench.faults` runs the same at full size."""

from __future__ import annotations

from bench.faults import Plan, run
from functions.shared.domain.orders import OrderStatus


def test_a_burst_with_faults_loses_and_repeats_no_order_and_keeps_the_stock_exact() -> None:
    report = run(Plan(orders=150, share=0.05, timeout=240, redelivery=15))
    assert report.problems == []
    assert report.orders == 150
    assert report.checkouts > 20
    assert report.ends[OrderStatus.FULFILLED] > 100
    for fault in ("workers killed", "messages repeated", "requests repeated"):
        assert report.faults[fault] > 0
    assert any(fault.startswith("answers: ") for fault in report.faults)
