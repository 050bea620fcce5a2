"""Every path of the state machine, driven with scripted answers: each state, each Retry, each Catch.

`tests/e2e/test_workflow_paths.py` walks the same paths on the embedded AWS's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.memory.state_machine import Coverage, End, evaluate_jsonata
from tests.statemachines.paths import PATHS, RESULTS, Path, follow


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_ends_where_it_should(path: Path) -> None:
    end = follow(path, Coverage())
    assert (end.status, end.state, end.error) == path.end


def test_these_are_all_paths_there_are(record_property: Callable[[str, object], None]) -> None:
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


def test_the_reason_of_a_rejection_is_carried_to_the_task_that_records_it() -> None:
    (path,) = [path for path in PATHS if path.name == "ValidateOrder-OrderRejected"]
    told: list[object] = []
    follow(path, Coverage(), lambda invocation: told.append(invocation.payload))
    assert told[-1] == {
        "orderId": "o-1",
        "attempt": 1,
        "correlationId": "cid-1",
        "status": "REJECTED",
        "reason": "OrderRejected: because",
    }


def test_prices_and_shipment_are_carried_to_the_tasks_that_need_them() -> None:
    (path,) = [path for path in PATHS if path.name == "happy"]
    told: dict[str, dict[str, object]] = {}
    follow(path, Coverage(), lambda invocation: told.update({invocation.state: invocation.payload}))
    assert told["MarkValidated"]["pricing"] == RESULTS["ValidateOrder"]
    assert told["FulfillOrder"]["items"] == RESULTS["ValidateOrder"]["items"]
    assert told["MarkFulfilled"]["shipment"] == {"shipmentId": "s-1"}


@pytest.mark.parametrize("expression", ["$states.context.Execution.Input.orderId", "$pricing.items"])
def test_the_short_cut_for_paths_answers_what_jsonata_answers(expression: str) -> None:
    scope = {
        "states": {"context": {"Execution": {"Input": {"orderId": "o-1"}}}},
        "pricing": {"items": [{"a": 1}, {"a": 2}]},
    }
    from local.memory.state_machine import _evaluate

    assert _evaluate(expression, scope["states"], {"pricing": scope["pricing"]}) == evaluate_jsonata(
        expression, scope
    )


def test_an_end_says_what_failed() -> None:
    (path,) = [path for path in PATHS if path.name == "FulfillOrder-FulfillmentRefused"]
    assert follow(path, Coverage()) == End(
        "FAILED", "OrderFailed", "OrderFailed", "FulfillmentRefused: because"
    )
