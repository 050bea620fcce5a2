"""Runs `statemachines/order_fulfillment.asl.json` in-process, as Step Functions does.

It supports what that file uses (Task, Succeed, Fail; Retry, Catch, Assign, Arguments; JSONata) and fails for
anything else. `run` yields each call of a task, and the caller sends its result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonata import Jsonata  # type: ignore[import-untyped]

from components.packaging import function_names
from components.workflow import placeholder_of, placeholders

NAME = "order_fulfillment"
FILE = Path(__file__).parents[2] / "statemachines" / f"{NAME}.asl.json"

_NAMED = placeholders(FILE.read_text("utf-8"))
FUNCTIONS = {
    placeholder: function
    for function in function_names()
    if (placeholder := placeholder_of(function)) in _NAMED
}
"""The tasks of the workflow: the functions that the file names, by their placeholders."""

# States.ALL matches every other error.
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
_TERMINAL = frozenset({"States.DataLimitExceeded", "States.Runtime"})

_SUPPORTED = {"Task", "Succeed", "Fail"}

UPDATE_ITEM = "dynamodb:updateItem"
"""What an `Invoke` calls if it is not a function: this API, with the payload as the request."""

# In memory every execution started at this time, which is past.
_STARTED_AT = "2026-01-01T00:00:00.000Z"


@cache
def definition() -> Any:
    """Returns the machine's definition, with the names of functions and tables in memory."""
    text = FILE.read_text("utf-8").replace("${partition}", "aws").replace("${ordersTable}", "orders")
    for placeholder, function in FUNCTIONS.items():
        text = text.replace(f"${{{placeholder}}}", function)
    assert "${" not in text
    return json.loads(text)


@dataclass(frozen=True)
class Invoke:
    """A call of a task: of a function, or of `UPDATE_ITEM`."""

    state: str
    function: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Ok:
    """The result of a call."""

    result: Any


@dataclass(frozen=True)
class Failure:
    """The error of a call."""

    error: str  # Step Functions' name
    cause: str = "{}"

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Returns the failure that Step Functions makes of a Python exception."""
        name = type(error).__name__
        return cls(name, json.dumps({"errorMessage": str(error), "errorType": name, "stackTrace": []}))


@dataclass(frozen=True)
class End:
    """The end of an execution."""

    status: str  # SUCCEEDED or FAILED
    state: str
    error: str | None = None
    cause: str | None = None


@dataclass
class Coverage:
    """The parts of the file that were run."""

    states: set[str] = field(default_factory=set)
    retries: set[tuple[str, str]] = field(default_factory=set)  # state, error
    catches: set[tuple[str, str]] = field(default_factory=set)  # state, error as in the file

    def add(self, other: Coverage) -> None:
        """Adds the coverage of another run."""
        self.states |= other.states
        self.retries |= other.retries
        self.catches |= other.catches

    @classmethod
    def whole(cls) -> Coverage:
        """Returns the coverage of the whole file."""
        states = definition()["States"]
        return cls(
            set(states),
            {
                (name, error)
                for name, state in states.items()
                for retrier in state.get("Retry", ())
                if retrier["MaxAttempts"]
                for error in retrier["ErrorEquals"]
            },
            {
                (name, error)
                for name, state in states.items()
                for catcher in state.get("Catch", ())
                for error in catcher["ErrorEquals"]
            },
        )


def run(execution_input: Mapping[str, Any], coverage: Coverage) -> Generator[Invoke, Ok | Failure, End]:
    """Runs one execution, without the delays of retries."""
    machine = definition()
    context = {"Execution": {"Input": dict(execution_input), "StartTime": _STARTED_AT}}
    variables: dict[str, Any] = {}
    name = machine["StartAt"]
    while True:
        state = machine["States"][name]
        assert state["Type"] in _SUPPORTED, state["Type"]
        coverage.states.add(name)
        if state["Type"] == "Succeed":
            return End("SUCCEEDED", name)
        states = {"context": context, "input": dict(execution_input)}
        if state["Type"] == "Fail":
            return End("FAILED", name, state["Error"], _fill_in(state["Cause"], states, variables))
        answer = yield from _task(name, state, states, variables, coverage)
        if isinstance(answer, Ok):
            states["result"] = answer.result
            following = state
        else:
            states["errorOutput"] = {"Error": answer.error, "Cause": answer.cause}
            following = _catcher(name, state, answer.error, coverage)
            if following is None:
                return End("FAILED", name, answer.error, answer.cause)
        assigned = {
            variable: _fill_in(value, states, variables)
            for variable, value in following.get("Assign", {}).items()
        }
        variables |= assigned
        if following.get("End"):
            return End("SUCCEEDED", name)
        name = following["Next"]


def _task(
    name: str, state: Any, states: Any, variables: Any, coverage: Coverage
) -> Generator[Invoke, Ok | Failure, Ok | Failure]:
    arguments = _fill_in(state["Arguments"], states, variables)
    resource = state["Resource"].removeprefix("arn:aws:states:::")
    is_function = resource == "lambda:invoke"
    assert is_function or resource == UPDATE_ITEM, resource
    call = Invoke(name, resource, arguments)
    if is_function:
        call = Invoke(name, arguments["FunctionName"], arguments["Payload"])
    failures = [0] * len(state["Retry"])
    while True:
        answer = yield call
        if isinstance(answer, Ok):
            return Ok({"Payload": answer.result, "StatusCode": 200}) if is_function else answer
        for number, retrier in enumerate(state["Retry"]):
            if _matches(retrier["ErrorEquals"], answer.error):
                failures[number] += 1
                if failures[number] > retrier["MaxAttempts"]:
                    return answer
                coverage.retries.add((name, _written(answer.error, retrier)))
                break
        else:
            return answer


def _catcher(name: str, state: Any, error: str, coverage: Coverage) -> Any:
    for catcher in state["Catch"]:
        if _matches(catcher["ErrorEquals"], error):
            coverage.catches.add((name, _written(error, catcher)))
            return catcher
    return None


def _written(error: str, handler: Any) -> str:
    """Returns the name under which a Retry or a Catch has an error."""
    return error if error in handler["ErrorEquals"] else "States.ALL"


def _matches(names: list[str], error: str) -> bool:
    return error in names or ("States.ALL" in names and error not in _TERMINAL)


_EXPRESSION = re.compile(r"\{%(.*)%\}", re.DOTALL)


def _fill_in(template: Any, states: Any, variables: Any) -> Any:
    if isinstance(template, dict):
        return {key: _fill_in(value, states, variables) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill_in(value, states, variables) for value in template]
    if isinstance(template, str) and (expression := _expression_in(template)):
        value = _evaluate(expression, states, variables)
        # Step Functions fails for an undefined result. None is enough here: no value is null.
        assert value is not None, template
        return value
    return template


@cache
def _expression_in(template: str) -> str | None:
    match = _EXPRESSION.fullmatch(template)
    return match[1].strip() if match else None


# `$a`, `$a.b.c`: most expressions are paths, which take JSONata a millisecond each.
_PATH = re.compile(r"\$[A-Za-z.]+")


def _evaluate(expression: str, states: Any, variables: Any) -> Any:
    scope = {"states": states, **variables}
    if _PATH.fullmatch(expression):
        value: Any = scope
        for part in expression[1:].split("."):
            value = value.get(part)
        return value
    return evaluate_jsonata(expression, scope)


def evaluate_jsonata(expression: str, scope: Mapping[str, Any]) -> Any:
    """Returns the value of a JSONata expression, with Step Functions' `$parse`."""
    return _compiled(expression).evaluate(None, scope)


@cache
def _compiled(expression: str) -> Jsonata:
    compiled = Jsonata.jsonata(expression)
    compiled.register_lambda("parse", json.loads)
    return compiled
