"""The state machine's file, checked without running it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from components.workflow import fill_in
from functions.shared.domain import errors
from functions.shared.domain.moves import LEGAL_MOVES
from functions.shared.domain.orders import OrderStatus
from local.engine.stacks import declare_test_stack
from local.memory.state_machine import FILE, FUNCTIONS, definition

STATES: dict[str, Any] = definition()["States"]
# Those that invoke a function. One more returns final orders to the open index.
TASKS = {name: state for name, state in STATES.items() if "Payload" in state.get("Arguments", {})}
RETURN = "ReturnToOpenIndex"
# Lambda refuses the call at once: the function did not run, and the attempt took no time.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
THROTTLED = "Lambda.TooManyRequestsException"
AWS_ERRORS = ("Lambda.", "Runtime.", "States.", "Sandbox.")

# What FulfillOrder returns for MarkFulfilled to set.
FULFILLMENT = {"IN_FULFILLMENT", "FULFILLED"}

each_task = pytest.mark.parametrize("name", TASKS)


def successors(state: Any) -> Iterator[str]:
    if "Next" in state:
        yield state["Next"]
    for catcher in state.get("Catch", ()):
        yield catcher["Next"]


def reachable(start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(successors(STATES[name]))
    return found


def test_every_next_state_exists_and_every_state_is_reached() -> None:
    for name, state in STATES.items():
        assert set(successors(state)) <= STATES.keys(), name
    assert reachable(definition()["StartAt"]) == STATES.keys()


def test_every_state_ends_or_has_a_next_state() -> None:
    for name, state in STATES.items():
        is_last = state.get("End") is True or state["Type"] in {"Succeed", "Fail"}
        assert is_last is not ("Next" in state), name


def test_state_names_are_in_pascal_case_and_all_have_a_comment() -> None:
    for name in STATES:
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), name
    for state in (definition(), *STATES.values()):
        assert len(state["Comment"]) > 20


@each_task
def test_every_task_has_a_timeout_a_retry_and_a_last_catch_for_all(name: str) -> None:
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    assert task["Retry"]
    status = task["Arguments"]["Payload"].get("status", "PENDING")
    after = "OrderUnfinished" if status in {"PENDING", "VALIDATED"} else RETURN
    assert task["Catch"][-1] == {"ErrorEquals": ["States.ALL"], "Next": after}


def test_a_return_to_the_open_index_retries_every_error_but_a_refusal_and_always_ends_unfinished() -> None:
    state = STATES[RETURN]
    refused, failed = state["Retry"]
    assert refused == {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "MaxAttempts": 0}
    as_a_task = TASKS["MarkFulfilled"]["Retry"][-1]
    assert failed == {**as_a_task, "ErrorEquals": ["States.ALL"], "MaxAttempts": 2}
    assert state["Catch"] == [{"ErrorEquals": ["States.ALL"], "Next": "OrderUnfinished"}]
    assert state["Next"] == "OrderUnfinished"
    assert state["TimeoutSeconds"] > 0


def test_all_tasks_have_the_same_retries_with_growing_capped_and_jittered_waits() -> None:
    retries = {json.dumps(task["Retry"], sort_keys=True) for task in TASKS.values()}
    assert len(retries) == 1
    for retrier in (*json.loads(retries.pop()), STATES[RETURN]["Retry"][-1]):
        assert retrier["BackoffRate"] > 1
        assert retrier["MaxDelaySeconds"] >= retrier["IntervalSeconds"]
        assert retrier["JitterStrategy"] == "FULL"


def test_a_throttled_call_has_more_retries_than_a_failed_one() -> None:
    for task in TASKS.values():
        throttled, failed = task["Retry"]
        assert throttled["ErrorEquals"] == [THROTTLED]
        assert throttled["MaxAttempts"] > failed["MaxAttempts"]


@each_task
def test_a_business_outcome_is_caught_and_never_retried(name: str) -> None:
    retried = {error for retrier in TASKS[name]["Retry"] for error in retrier["ErrorEquals"]}
    caught = {error for catcher in TASKS[name]["Catch"] for error in catcher["ErrorEquals"]}
    assert not retried & caught
    assert "States.ALL" not in retried
    assert {"OrderCancelled", "Superseded"} <= caught


def named_errors() -> set[str]:
    """Returns the errors of the domain that the file names."""
    return {
        error
        for task in TASKS.values()
        for handler in (*task["Retry"], *task["Catch"])
        for error in handler["ErrorEquals"]
        if not error.startswith(AWS_ERRORS)
    }


def test_every_error_in_the_file_is_an_error_of_the_domain() -> None:
    for name in named_errors():
        assert issubclass(getattr(errors, name), errors.DomainError)


def test_every_error_of_the_domain_is_named_in_the_file_or_answered_by_the_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "*")
    from functions.shared.http import STATUS

    domain = {
        name
        for name, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.DomainError) and not error.__subclasses__()  # a base is not raised
    }
    assert domain - {error.__name__ for error in STATUS} <= named_errors()


def statuses_after(state: dict[str, Any], before: str) -> set[str]:
    """Returns the statuses that an order may have after a state."""
    status = state.get("Arguments", {}).get("Payload", {}).get("status", before)
    return FULFILLMENT if status == "{% $fulfillment.status %}" else {status}


def moves_of_the_machine() -> set[tuple[str, str]]:
    """Returns the moves on all paths of the file, as pairs of the status before and after."""
    moves: set[tuple[str, str]] = set()
    known: set[tuple[str, str]] = set()
    waiting = [(definition()["StartAt"], "PENDING")]
    while waiting:
        name, status = waiting.pop()
        if (name, status) in known:
            continue
        known.add((name, status))
        state = STATES[name]
        for after in statuses_after(state, status):
            if after != status:
                moves.add((status, after))
            if "Next" in state:
                waiting.append((state["Next"], after))
        waiting.extend((catcher["Next"], status) for catcher in state.get("Catch", ()))
    return moves


def test_the_moves_of_the_machine_are_legal_and_all_others_are_made_elsewhere() -> None:
    legal = {(source.value, to.value) for source, targets in LEGAL_MOVES.items() for to in targets}
    made = moves_of_the_machine()
    assert made <= legal
    assert legal - made == {
        ("PENDING", "CANCELLED"),  # the client
        ("VALIDATED", "CANCELLED"),  # the client
        ("PENDING", "FAILED"),  # the requeue, when the attempts are used up
        ("IN_FULFILLMENT", "FULFILLED"),  # the fulfillment system
        ("IN_FULFILLMENT", "FAILED"),  # the fulfillment system
        ("IN_FULFILLMENT", "CANCELLED"),  # the fulfillment system, when a client asked
        ("FULFILLED", "DELIVERED"),  # the fulfillment system
        ("FAILED", "PENDING"),  # an operator
    }


def test_an_execution_fails_only_if_it_leaves_its_order_open() -> None:
    ends: dict[str, set[str]] = {}
    waiting = [(definition()["StartAt"], "PENDING")]
    known = set()
    while waiting:
        name, status = waiting.pop()
        if (name, status) in known:
            continue
        known.add((name, status))
        state = STATES[name]
        after = statuses_after(state, status)
        if "Next" in state:
            waiting.extend((state["Next"], one) for one in after)
        elif state["Type"] == "Task":
            ends.setdefault(name, set()).update(after)
        elif state["Type"] == "Fail":
            ends.setdefault(name, set()).add(status)
        waiting.extend((catcher["Next"], status) for catcher in state.get("Catch", ()))
    assert ends == {
        "MarkFulfilled": {"FULFILLED", "IN_FULFILLMENT"},
        "MarkRejected": {"REJECTED"},
        "MarkFailed": {"FAILED"},
        "OrderUnfinished": {"PENDING", "VALIDATED"},
    }


def test_no_stock_is_released_after_fulfillment() -> None:
    assert "ReleaseOrder" not in reachable(STATES["FulfillOrder"]["Next"])


def test_the_happy_path_has_four_states() -> None:
    path = [definition()["StartAt"]]
    while "Next" in STATES[path[-1]]:
        path.append(STATES[path[-1]]["Next"])
    assert path == ["ValidateOrder", "MarkValidated", "FulfillOrder", "MarkFulfilled"]


def test_the_named_errors_of_each_task_lead_to_these_states() -> None:
    caught = {
        (name, error): catcher["Next"]
        for name, task in TASKS.items()
        for catcher in task["Catch"]
        for error in catcher["ErrorEquals"]
        if error not in {"OrderCancelled", "Superseded", "States.ALL"}
    }
    assert caught == {
        ("ValidateOrder", "OrderRejected"): "MarkRejected",
        ("FulfillOrder", "OrderRejected"): "MarkRejected",
        ("FulfillOrder", "FulfillmentRefused"): "ReleaseOrder",
    }


def test_every_task_handles_a_stopped_order_in_the_same_way() -> None:
    for task in TASKS.values():
        assert {"ErrorEquals": ["OrderCancelled", "Superseded"], "Next": "Stopped"} in task["Catch"]


# --- time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["dev", "prod"])
@each_task
def test_an_http_request_ends_before_the_function_and_the_function_before_the_task(
    name: str, stack: str
) -> None:
    from functions.shared.fulfillment_client import TIMEOUT

    function = TASKS[name]["Arguments"]["FunctionName"]
    declared_function = declare_test_stack(stack).get("aws:lambda/function:Function", function)
    assert TIMEOUT < declared_function.inputs["timeout"] == TASKS[name]["TimeoutSeconds"] - 1


def worst_case(name: str) -> float:
    """Returns the longest time in seconds from entering a state to the end of the execution."""
    state = STATES[name]
    following = max((worst_case(successor) for successor in successors(state)), default=0.0)
    if state["Type"] != "Task":
        return following
    # Every retrier counts its own attempts, so an execution may use up all of them.
    ran = 1 + sum(
        retrier["MaxAttempts"] for retrier in state["Retry"] if retrier["ErrorEquals"] != [THROTTLED]
    )
    waits = sum(
        min(
            retrier["IntervalSeconds"] * retrier["BackoffRate"] ** number, retrier["MaxDelaySeconds"]
        )  # full jitter waits at most this long
        for retrier in state["Retry"]
        for number in range(retrier["MaxAttempts"])
    )
    return float(ran * state["TimeoutSeconds"] + waits + following)


def test_the_timeout_covers_the_worst_case_and_is_allowed_for_express_executions() -> None:
    timeout = definition()["TimeoutSeconds"]
    assert worst_case(definition()["StartAt"]) < timeout <= 300


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_no_order_is_stalled_while_its_execution_may_still_run(stack: str) -> None:
    requeue = declare_test_stack(stack).get("aws:lambda/function:Function", "requeue_stalled_orders")
    minutes = int(requeue.inputs["environment"]["variables"]["STALLED_AFTER_MINUTES"])
    assert minutes * 60 >= definition()["TimeoutSeconds"] + 60


# --- cfn-lint ---------------------------------------------------------------------------------------------


def lint_errors(machine: Any) -> list[str]:
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"RoleArn": "arn:aws:iam::123456789012:role/r", "Definition": machine},
            }
        },
    }
    found = lint(json.dumps(template), config=ManualArgs(regions=["eu-central-1"]))
    return [f"{match.rule.id} {match.message}" for match in found]


def definition_with_arns() -> Any:
    arns = {name: f"arn:aws:lambda:eu-central-1:123456789012:function:{name}" for name in FUNCTIONS}
    return json.loads(fill_in(FILE.read_text("utf-8"), {"partition": "aws", "ordersTable": "orders", **arns}))


def test_cfn_lint_finds_no_error_in_the_definition() -> None:
    assert lint_errors(definition_with_arns()) == []


def test_cfn_lint_checks_the_definition() -> None:
    machine = definition_with_arns()
    machine["States"]["ValidateOrder"]["Parameters"] = {}  # JSONPath's, which JSONata does not allow
    assert any(error.startswith("E3601") for error in lint_errors(machine))


# --- names ------------------------------------------------------------------------------------------------


def test_the_statuses_of_tasks_exist_in_the_domain() -> None:
    requested = {
        status
        for task in TASKS.values()
        if "status" in task["Arguments"]["Payload"]
        for status in statuses_after(task, "")
    }
    assert requested <= {status.value for status in OrderStatus}
