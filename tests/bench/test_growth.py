"""The cost of an operation does not grow with the tables."""

from __future__ import annotations

import pytest

from bench.growth import fill, operations
from bench.metering import metered_backend

SMALL, LARGE = 100, 600


@pytest.fixture(scope="module")
def units() -> dict[int, dict[str, dict[str, float]]]:
    """Units of each operation, per number of stored records."""
    counted: dict[int, dict[str, dict[str, float]]] = {}
    for size in (SMALL, LARGE):
        counted[size] = {}
        with metered_backend("WARNING") as meter:
            fill(meter, size)
            for name, operation in operations().items():
                meter.reset()
                operation(meter)
                counted[size][name] = meter.ledger.total()
    return counted


@pytest.mark.parametrize("operation", sorted(operations()))
def test_the_cost_does_not_depend_on_the_number_of_records(
    operation: str, units: dict[int, dict[str, dict[str, float]]]
) -> None:
    assert units[SMALL][operation] == units[LARGE][operation]


def test_the_requeue_reads_and_writes_only_the_stalled_orders(
    units: dict[int, dict[str, dict[str, float]]],
) -> None:
    none, some, many = (units[LARGE][f"requeue, {stalled} stalled"] for stalled in (0, 10, 100))

    assert none == {"metricRequests": 1, "readUnits": 8}  # the queue's age, and a query per shard
    assert some["readUnits"] - none["readUnits"] == 10
    assert many["readUnits"] - none["readUnits"] == 100
    assert many["writeUnits"] == 10 * some["writeUnits"]
    assert (some["queueRequests"], many["queueRequests"]) == (1, 10)
