"""No index has a partition that the orders of a second can fill."""

from __future__ import annotations

from bench.partitions import LIMIT, UNSHARDED, simulate


def test_1000_orders_a_second_fill_at_most_a_quarter_of_any_partition() -> None:
    loads = simulate(1000, seconds=3)

    assert loads.keys() == {"byUser", "byTime", "open", UNSHARDED}
    assert loads["byTime"].partitions == 8
    assert all(load.peak <= LIMIT / 4 for name, load in loads.items() if name != UNSHARDED)
    assert not any(load.refused for name, load in loads.items() if name != UNSHARDED)


def test_one_partition_per_day_would_refuse_writes() -> None:
    assert simulate(1100, seconds=3)[UNSHARDED].refused > 0.05
