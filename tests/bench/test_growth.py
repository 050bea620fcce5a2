"""No operation gets dearer when the tables grow."""

from __future__ import annotations

import pytest

from bench.growth import fill, operations
from bench.metering import metered_backend

SMALL, LARGE = 100, 600


@pytest.fixture(scope="module")
def units() -> dict[int, dict[str, dict[str, float]]]:
    """What each operation costs, by the size of the tables."""
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
def test_the_cost_does_not_depend_on_how_much_is_stored(
    operation: str, units: dict[int, dict[str, dict[str, float]]]
) -> None:
    assert units[SMALL][operation] == units[LARGE][operation]


def test_the_requeue_pays_for_the_stalled_orders_only(units: dict[int, dict[str, dict[str, float]]]) -> None:
    none, some, many = (units[LARGE][f"requeue, {stalled} stalled"] for stalled in (0, 10, 100))

    assert none == {"metricRequests": 1, "readUnits": 4}  # the age of the queue, and a look at each shard
    assert some["readUnits"] - none["readUnits"] == 10
    assert many["readUnits"] - none["readUnits"] == 100
    assert many["writeUnits"] == 10 * some["writeUnits"]
    assert (some["queueRequests"], many["queueRequests"]) == (1, 10)
