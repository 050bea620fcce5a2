"""Expressions of the state machine have the same value in `local/memory` and in the reference JSONata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.memory import state_machine
from local.memory.state_machine import Coverage, definition
from tests.references.implementations import JSONATA
from tests.references.jsonata_process import JsonataError, JsonataProcess
from tests.statemachines.paths import PATHS, follow

pytestmark = JSONATA.required

# Values that an evaluator could change. JSONata unwraps sequences of one element.
ODD_VALUES: list[Any] = [
    [],
    [{"productId": "p"}],
    [[1]],
    [[]],
    [1, [2, 3]],
    {},
    {"items": []},
    "",
    " {% $x %} ",
    'a "quote", a \\ and a \n',
    "Straße \u2028 \U0001f4a1",
    0,
    -1,
    2**53 - 1,
    0.1,
    1e-7,
    False,
    True,
]


@pytest.fixture(scope="module")
def reference() -> Iterator[JsonataProcess]:
    with JsonataProcess(JSONATA.folder) as process:
        yield process


def expressions(part: Any) -> set[str]:
    """All JSONata expressions in a part of the definition."""
    if isinstance(part, dict):
        return {expression for value in part.values() for expression in expressions(value)}
    if isinstance(part, list):
        return {expression for value in part for expression in expressions(value)}
    match = state_machine._EXPRESSION.fullmatch(part) if isinstance(part, str) else None
    return {match[1].strip()} if match else set()


EXPRESSIONS = sorted(expressions(definition()))
# Those that return a part of their input, and not a text made of it.
SELECTING = [one for one in EXPRESSIONS if not one.startswith(("$string(", "$substring("))]


def test_every_value_on_every_path_is_the_same(
    reference: JsonataProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = set()
    evaluate = state_machine._evaluate

    def compare(expression: str, states: Any, variables: Any) -> Any:
        evaluated.add(expression)
        value = evaluate(expression, states, variables)
        assert reference.evaluate(expression, {"states": states, **variables}) == value, expression
        return value

    monkeypatch.setattr(state_machine, "_evaluate", compare)
    for path in PATHS:
        follow(path, Coverage())
    assert evaluated == set(EXPRESSIONS)


def scope_with(expression: str, value: Any) -> dict[str, Any]:
    """Variables in which the path in an expression leads to `value`."""
    inner, parsed, member = expression.removeprefix("$parse(").partition(").")
    if parsed:
        value = json.dumps({member: value})
    names = inner.removeprefix("$").split(".")
    for name in reversed(names):
        value = {name: value}
    assert isinstance(value, dict)
    return {"states": {}, **value}


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("expression", SELECTING)
def test_an_odd_value_is_not_changed(reference: JsonataProcess, expression: str, value: Any) -> None:
    scope = scope_with(expression, value)
    ours = state_machine._evaluate(expression, scope["states"], scope)
    assert ours == value
    theirs = reference.evaluate(expression, scope)
    assert (type(theirs), theirs) == (type(ours), ours)


@pytest.mark.parametrize("cause", ["", "no JSON", '"text"', "[]", "{}", '{"errorType": "OrderRejected"}'])
def test_a_cause_without_a_message_has_no_reason(reference: JsonataProcess, cause: str) -> None:
    """Step Functions then fails with States.QueryEvaluationError."""
    (expression,) = [expression for expression in SELECTING if "$parse" in expression]
    scope = scope_with("$states.errorOutput.Cause", cause)
    with pytest.raises(JsonataError):
        reference.evaluate(expression, scope)
    try:
        ours = state_machine._evaluate(expression, scope["states"], {})
    except ValueError:
        return
    assert ours is None
