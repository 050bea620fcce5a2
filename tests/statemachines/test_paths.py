"""Runs every path of the state machine with scripted answers: each state, Retry and Catch.

`tests/e2e/test_workflow_paths.py` runs the same paths on the embedded AWS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.shared.domain.orders import UNFINISHED_STATUSES, OrderStatus
from functions.shared.persistence.dynamodb import from_item, to_item
from functions.shared.persistence.open_index import shard_of
from local.memory.cloud import MemoryCloud
from local.memory.state_machine import UPDATE_ITEM, Coverage, End, Invoke, evaluate_jsonata
from tests.statemachines.paths import INPUT, PATHS, RESULTS, Path, follow, return_to_open_index


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
    calls: list[Invoke] = []
    for path in PATHS:
        follow(path, Coverage(), calls.append)
    invocations = [call for call in calls if call.function != UPDATE_ITEM]
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


def item_after_return(**attributes: object) -> dict[str, Any]:
    """Returns an order after the machine's own update in attempt 1. Raises DynamoDB's refusal."""
    cloud = MemoryCloud()
    order: dict[str, object] = {"orderId": "o-1", "attempt": 1, "revision": 2, **attributes}
    items = cloud.store.tables["orders"].items
    items["o-1"] = to_item(order)
    cloud.store.call("UpdateItem", return_to_open_index("o-1", 1))
    return from_item(items["o-1"])


REFUSED = pytest.raises(ClientError, match="ConditionalCheckFailedException")


@pytest.mark.parametrize("status", sorted(set(OrderStatus) - set(UNFINISHED_STATUSES)))
def test_a_final_order_returns_to_the_open_index(status: OrderStatus) -> None:
    entry = {"openShard": shard_of("o-1"), "dueAt": "2026-01-01T00:00:00.000Z"}
    order = {"orderId": "o-1", "attempt": 1, "status": status, "revision": 3}
    assert item_after_return(status=status) == order | entry


@pytest.mark.parametrize("status", UNFINISHED_STATUSES)
def test_an_unfinished_order_keeps_its_place_in_the_open_index(status: OrderStatus) -> None:
    with REFUSED:
        item_after_return(status=status)


def test_an_earlier_attempt_does_not_return_an_order_to_the_open_index() -> None:
    with REFUSED:
        item_after_return(status="FULFILLED", attempt=2)


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
