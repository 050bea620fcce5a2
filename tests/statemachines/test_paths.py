"""Runs every path of the state machine with scripted answers: each state, Retry and Catch.

`tests/e2e/test_workflow_paths.py` runs the same paths on the embedded AWS.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.state_machine import Coverage, End, evaluate_jsonata
from tests.statemachines.paths import PATHS, RESULTS, Path, follow


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


def test_the_reason_of_a_rejection_is_passed_to_the_task_that_records_it() -> None:
    (path,) = [path for path in PATHS if path.name == "ValidateOrder-OrderRejected"]
    payloads: list[object] = []
    follow(path, Coverage(), lambda invocation: payloads.append(invocation.payload))
    assert payloads[-1] == {
        "orderId": "o-1",
        "attempt": 1,
        "correlationId": "cid-1",
        "status": "REJECTED",
        "reason": "OrderRejected: because",
    }


def test_prices_and_shipment_are_passed_to_the_tasks_that_need_them() -> None:
    (path,) = [path for path in PATHS if path.name == "happy"]
    payloads: dict[str, dict[str, object]] = {}
    follow(path, Coverage(), lambda invocation: payloads.update({invocation.state: invocation.payload}))
    assert payloads["MarkValidated"]["pricing"] == RESULTS["ValidateOrder"]
    assert payloads["FulfillOrder"]["items"] == RESULTS["ValidateOrder"]["items"]
    assert payloads["MarkFulfilled"]["shipment"] == {"shipmentId": "s-1"}


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
