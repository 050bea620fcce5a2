"""Runs every path of the state machine with scripted answers: each state, Retry and Catch.

`tests/e2e/test_workflow_paths.py` runs the same paths on the embedded AWS.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.state_machine import Coverage, End, Invoke, evaluate_jsonata
from tests.statemachines.paths import INPUT, PATHS, RESULTS, Path, follow


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_path_ends_as_expected(path: Path) -> None:
    end = follow(path, Coverage())
    assert (end.status, end.state, end.error) == path.end


def test_the_paths_cover_all_states_retries_and_catches(
    record_property: Callable[[str, object], None],
) -> None:
    covered = Coverage()
    for path in PATHS:
        follow(path, covered)
    whole = Coverage.whole()
    report = ", ".join(
        f"{len(getattr(covered, part))} of {len(getattr(whole, part))} {part}"
        for part in ("states", "retries", "catches")
    )
    record_property("coverage: paths of the state machine", report)
    assert covered == whole, report


# The payload of each task, beyond the execution's input. Both paths to MarkRejected have the same reason.
PASSED: dict[str, dict[str, object]] = {
    "ValidateOrder": {},
    "MarkValidated": {"status": "VALIDATED", "pricing": RESULTS["ValidateOrder"]},
    "FulfillOrder": {"pricing": RESULTS["ValidateOrder"]},
    "MarkFulfilled": {"status": "FULFILLED", "fulfillment": RESULTS["FulfillOrder"]},
    "MarkRejected": {"status": "REJECTED", "reason": "OrderRejected: because"},
    "ReleaseOrder": {},
    "MarkFailed": {"status": "FAILED", "reason": "FulfillmentRefused: because"},
}


def test_each_task_gets_exactly_what_its_function_reads() -> None:
    invocations: list[Invoke] = []
    for path in PATHS:
        follow(path, Coverage(), invocations.append)
    for invocation in invocations:
        assert invocation.payload == {**INPUT, **PASSED[invocation.state]}, invocation
    assert {(invocation.state, invocation.function) for invocation in invocations} == {
        ("ValidateOrder", "validate_order"),
        ("MarkValidated", "update_order_status"),
        ("FulfillOrder", "fulfill_order"),
        ("MarkFulfilled", "update_order_status"),
        ("MarkRejected", "update_order_status"),
        ("ReleaseOrder", "release_order"),
        ("MarkFailed", "update_order_status"),
    }


@pytest.mark.parametrize("expression", ["$states.context.Execution.Input.orderId", "$pricing.items"])
def test_a_path_expression_has_the_same_value_as_in_jsonata(expression: str) -> None:
    scope = {
        "states": {"context": {"Execution": {"Input": {"orderId": "o-1"}}}},
        "pricing": {"items": [{"a": 1}, {"a": 2}]},
    }
    from local.memory.state_machine import _evaluate

    assert _evaluate(expression, scope["states"], {"pricing": scope["pricing"]}) == evaluate_jsonata(
        expression, scope
    )


def test_an_end_has_the_cause_of_the_failure() -> None:
    (path,) = [path for path in PATHS if path.name == "FulfillOrder-SomethingElse"]
    assert follow(path, Coverage()) == End(
        "FAILED",
        "OrderUnfinished",
        "OrderUnfinished",
        "a technical error remained after all retries; the execution's history has the failed state",
    )
