"""All paths of the state machine as scripts: the errors of each task, and the expected end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.memory.state_machine import UPDATE_ITEM, Coverage, End, Failure, Invoke, Ok, definition, run

INPUT = {"orderId": "o-1", "attempt": 1, "correlationId": "cid-1"}

# The results of the tasks if they succeed.
RESULTS: dict[str, Any] = {
    "ValidateOrder": {
        "items": [{"productId": "p", "quantity": 1, "title": "Lamp", "unitPrice": 1}],
        "total": 1,
        "currency": "EUR",
    },
    "MarkValidated": {"orderId": "o-1", "status": "VALIDATED"},
    "FulfillOrder": {"status": "FULFILLED", "shipment": {"shipmentId": "s-1"}},
    "MarkFulfilled": {"orderId": "o-1", "status": "FULFILLED"},
    "MarkRejected": {"orderId": "o-1", "status": "REJECTED"},
    "ReleaseOrder": None,
    "MarkFailed": {"orderId": "o-1", "status": "FAILED"},
    "ReturnToOpenIndex": {},
}

_FULFILLED = ("SUCCEEDED", "MarkFulfilled", None)
_REJECTED = ("SUCCEEDED", "MarkRejected", None)
_STOPPED = ("SUCCEEDED", "Stopped", None)
_FAILED = ("SUCCEEDED", "MarkFailed", None)
_UNFINISHED = ("FAILED", "OrderUnfinished", "OrderUnfinished")

# The failure that leads to a state off the happy path, and the end of an execution through that state.
_DETOURS: dict[str, tuple[dict[str, list[str]], tuple[str, str, str | None]]] = {
    "MarkRejected": ({"ValidateOrder": ["OrderRejected"]}, _REJECTED),
    "ReleaseOrder": ({"FulfillOrder": ["FulfillmentRefused"]}, _FAILED),
    "MarkFailed": ({"FulfillOrder": ["FulfillmentRefused"]}, _FAILED),
    "ReturnToOpenIndex": ({"MarkFulfilled": ["SomethingElse"]}, _UNFINISHED),
}

# The end after an error that is not retried.
_OUTCOMES = {
    "OrderRejected": _REJECTED,
    "FulfillmentRefused": _FAILED,
    "OrderCancelled": _STOPPED,
    "Superseded": _STOPPED,
}

# States.ALL does not match these.
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
NOT_CAUGHT = ("States.DataLimitExceeded", "States.Runtime")


@dataclass(frozen=True)
class Path:
    """A path: the errors of each task before it succeeds, and the end (status, state, error)."""

    name: str
    end: tuple[str, str, str | None]
    failures: Mapping[str, list[str]] = field(default_factory=dict)


def _paths() -> list[Path]:
    paths = [Path("happy", _FULFILLED)]
    for state in RESULTS:
        detour, end = _DETOURS.get(state, ({}, _FULFILLED))
        task = definition()["States"][state]
        for retrier in task["Retry"]:
            errors = ["SomethingElse" if one == "States.ALL" else one for one in retrier["ErrorEquals"]]
            paths += [Path(f"{state}-{error}-once", end, {**detour, state: [error]}) for error in errors]
            too_often = [errors[-1]] * (retrier["MaxAttempts"] + 1)
            paths.append(Path(f"{state}-{errors[-1]}-too-often", _UNFINISHED, {**detour, state: too_often}))
        for catcher in task["Catch"]:
            for error in catcher["ErrorEquals"]:
                raised = "SomethingElse" if error == "States.ALL" else error
                after = _OUTCOMES.get(raised, _UNFINISHED)
                paths.append(Path(f"{state}-{raised}", after, {**detour, state: [raised]}))
        for error in NOT_CAUGHT:
            paths.append(Path(f"{state}-{error}", ("FAILED", state, error), {**detour, state: [error]}))
    return paths


PATHS = _paths()


def cause_of(error: str) -> str:
    """Returns the Cause of a task's failure, as Lambda formats it."""
    return f'{{"errorMessage": "{error}: because", "errorType": "{error}"}}'


def task_payloads() -> dict[str, dict[str, Any]]:
    """Returns one payload per task function, as the state machine sends it."""
    payloads: dict[str, dict[str, Any]] = {}

    def collect(invocation: Invoke) -> None:
        if invocation.function != UPDATE_ITEM:
            payloads[invocation.function] = invocation.payload

    for path in PATHS:
        follow(path, Coverage(), collect)
    return payloads


def return_to_open_index(order_id: str, attempt: int) -> dict[str, Any]:
    """Returns the UpdateItem that the machine sends when MarkFulfilled has failed."""
    steps = run({**INPUT, "orderId": order_id, "attempt": attempt}, Coverage())
    call = next(steps)
    while call.function != UPDATE_ITEM:
        call = steps.send(Failure("x") if call.state == "MarkFulfilled" else Ok(RESULTS[call.state]))
    return call.payload


def follow(path: Path, coverage: Coverage, on_invoke: Callable[[Invoke], object] = id) -> End:
    """Runs the machine with the answers of a path. Passes each invocation to `on_invoke`."""
    failures = {state: list(errors) for state, errors in path.failures.items()}
    steps = run(INPUT, coverage)
    invocation = next(steps)
    while True:
        on_invoke(invocation)
        errors = failures.get(invocation.state)
        answer: Ok | Failure = Ok(RESULTS[invocation.state])
        if errors:
            error = errors.pop(0)
            answer = Failure(error, cause_of(error))
        try:
            invocation = steps.send(answer)
        except StopIteration as stop:
            end: End = stop.value
            return end
