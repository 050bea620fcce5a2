"""Every call to AWS and to the fulfillment system, in every scenario, fails once in every way it can.

Exhaustive: a scenario is played once to list its calls, and then once for each call and each kind of fault.
After each of these plays every order is final, stock is exact, nothing happened twice.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.faults import FAULTS, FaultAt, Outage, faults_of
from local.memory.scenarios import SCENARIOS, Scenario, play

pytestmark = pytest.mark.usefixtures("without_logs")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_one_fault_anywhere_loses_doubles_and_strands_nothing(
    scenario: Scenario, count_cases: Callable[[str, int], None]
) -> None:
    listing = FaultAt()
    undisturbed = play(scenario, listing)
    assert tuple(order.status.value for order in undisturbed.orders().values()) == scenario.ends
    cases = 0
    for number, call in enumerate(listing.calls):
        for name in faults_of(call):
            try:
                play(scenario, FaultAt(number, FAULTS[name]))
            except BaseException as error:
                error.add_note(f"call {number}, {call.service} {call.operation}: {name}")
                raise
            cases += 1
    count_cases("one fault at one call", cases)


@pytest.mark.parametrize("kind", ["request lost", "answer lost", "throttled"])
@pytest.mark.parametrize(
    "scenario",
    [
        scenario
        for scenario in SCENARIOS
        if scenario.play.__name__ in {"happy", "refused", "too_little_stock"}
    ],
    ids=lambda scenario: scenario.name,
)
def test_a_service_that_is_out_for_a_while_loses_doubles_and_strands_nothing(
    scenario: Scenario, kind: str, count_cases: Callable[[str, int], None]
) -> None:
    listing = FaultAt()
    play(scenario, listing)
    cases = 0
    for service in sorted({call.service for call in listing.calls}):
        for start in range(len(listing.calls)):
            for length in (10, 24):  # tries: longer than the retries of one task, and of two
                play(scenario, Outage(service, start, length, FAULTS[kind]))
                cases += 1
    count_cases("a service that is out for a while", cases)
