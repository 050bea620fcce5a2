"""Every call to AWS and to the warehouse, in every scenario, fails once in every way it can.

Exhaustive: a scenario is played once to list its calls, and then once for each call and each kind of fault.
After each of these plays every order is final, stock is exact, nothing happened twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.faults.cloud import Call, Hook, Killed
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.store import client_error
from tests.faults.world import World, installed


def _conflict(call: Call, request: Mapping[str, Any]) -> Exception:
    reasons = [{"Code": "None"} for _ in request["TransactItems"]]
    reasons[-1] = {"Code": "TransactionConflict"}
    return client_error(call.operation, "TransactionCanceledException", CancellationReasons=reasons)


Fault = Callable[[Call, Mapping[str, Any]], BaseException]

BEFORE: dict[str, Fault] = {
    "killed before": lambda _call, _request: Killed(),
    "request lost": lambda _call, _request: ReadTimeoutError(endpoint_url="https://aws"),
    "throttled": lambda call, _request: client_error(call.operation, "ThrottlingException"),
}
AFTER: dict[str, Fault] = {
    "killed after": lambda _call, _request: Killed(),
    "answer lost": lambda _call, _request: ReadTimeoutError(endpoint_url="https://aws"),
}
CONFLICT: dict[str, Fault] = {"transaction conflict": _conflict}


class FaultAt(Hook):
    """Lets one call fail: the one with this number."""

    def __init__(self, number: int = -1, before: Fault | None = None, after: Fault | None = None) -> None:
        self.calls: list[Call] = []
        self._number = number
        self._before = before
        self._after = after

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        self.calls.append(call)
        if self._before and len(self.calls) - 1 == self._number:
            raise self._before(call, request)

    def after(self, call: Call, request: Mapping[str, Any], answer: object) -> None:
        if self._after and len(self.calls) - 1 == self._number:
            raise self._after(call, request)


def play(scenario: Scenario, hook: FaultAt) -> World:
    world = scenario.world()
    world.cloud.hook = hook
    with installed(world):
        scenario.play(world)
        world.settle()
        world.check()
    return world


def faults_of(call: Call) -> list[tuple[str, Fault | None, Fault | None]]:
    kinds = {**BEFORE, **(CONFLICT if call.operation == "TransactWriteItems" else {})}
    if call.service == "warehouse":
        del kinds["throttled"]
    return [
        *((name, fault, None) for name, fault in kinds.items()),
        *((name, None, fault) for name, fault in AFTER.items()),
    ]


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
