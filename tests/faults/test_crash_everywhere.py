"""Every call to AWS and to the warehouse, in every scenario, fails once in every way it can.

Exhaustive: a scenario is played once to list its calls, and then once for each call and each kind of fault.
After each of these plays every order is final, stock is exact, nothing happened twice.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.faulty import FaultAt, faults_of
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World, installed


def play(scenario: Scenario, hook: FaultAt) -> World:
    world = scenario.world()
    world.cloud.hook = hook
    with installed(world):
        scenario.play(world)
        world.settle()
        world.check()
    return world


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_one_fault_anywhere_loses_doubles_and_strands_nothing(
    scenario: Scenario, count_cases: Callable[[str, int], None]
) -> None:
    listing = FaultAt()
    undisturbed = play(scenario, listing)
    assert tuple(order.status.value for order in undisturbed.orders().values()) == scenario.ends
    cases = 0
    for number, call in enumerate(listing.calls):
        for name, before, after in faults_of(call):
            try:
                play(scenario, FaultAt(number, before, after))
            except BaseException as error:
                error.add_note(f"call {number}, {call.service} {call.operation}: {name}")
                raise
            cases += 1
    count_cases("one fault at one call", cases)
