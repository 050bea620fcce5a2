"""Fails each call to AWS and to the fulfillment system once, with each kind of fault, in every scenario.

A first run of a scenario lists its calls. One more run per call and kind of fault follows. After each run
every order is final, the stock is exact and no step took effect twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from local.memory.cloud import ServiceCall
from local.memory.faults import FAULTS, FaultAt, Outage, faults_of
from local.memory.scenarios import SCENARIOS, Scenario, play

pytestmark = pytest.mark.usefixtures("without_logs")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_after_one_fault_no_order_is_lost_repeated_or_unfinished(
    scenario: Scenario, count_cases: Callable[[str, int], None], request: pytest.FixtureRequest
) -> None:
    listing = FaultAt()
    without_faults = play(scenario, listing)
    assert tuple(order.status.value for order in without_faults.orders().values()) == scenario.ends
    cases = 0
    kinds = Counter[ServiceCall]()
    for number, call in enumerate(listing.calls):
        names = faults_of(call)
        if request.config.getoption("--dynamodb-local"):  # each call of a kind has the next kind of fault
            kinds[call] += 1
            names = [names[kinds[call] % len(names)]]
        for name in names:
            try:
                play(scenario, FaultAt(number, FAULTS[name]))
            except BaseException as error:
                error.add_note(f"call {number}, {call.service} {call.operation}: {name}")
                raise
            cases += 1
    count_cases("one fault at one call", cases)


@pytest.mark.parametrize(
    "kind", ["request lost", "answer lost", "throttled", "killed before", "killed after"]
)
@pytest.mark.parametrize(
    "scenario",
    [
        scenario
        for scenario in SCENARIOS
        if scenario.play.__name__ in {"happy", "refused", "too_little_stock"}
    ],
    ids=lambda scenario: scenario.name,
)
def test_after_an_outage_of_a_service_no_order_is_lost_repeated_or_unfinished(
    scenario: Scenario,
    kind: str,
    count_cases: Callable[[str, int], None],
    request: pytest.FixtureRequest,
) -> None:
    if request.config.getoption("--dynamodb-local"):
        pytest.skip("an outage makes no call that one fault does not make")
    listing = FaultAt()
    play(scenario, listing)
    cases = 0
    # An outage that begins earlier fails no other call: it is one of these.
    for start, call in enumerate(listing.calls):
        for length in (10, 24):  # tries: more than one task makes, and more than two tasks make
            play(scenario, Outage(call.service, start, length, FAULTS[kind]))
            cases += 1
    count_cases("an outage of one service", cases)
