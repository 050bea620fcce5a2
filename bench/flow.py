"""Measures the steps of an order from its POST to FULFILLED, on the embedded AWS, one order at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from bench.embedded import StackClient
from bench.report import Figure, table, write
from local.stack import RunningStack, running_stack

_ORDERS: Final = 20
_WARM_UP: Final = 3  # orders that start the workers
_TIMEOUT: Final = 30.0  # seconds until an order must be FULFILLED


def flow() -> bool:
    """Measures both kinds of workflow. Returns True."""
    results = {kind: _measure(kind) for kind in ("EXPRESS", "STANDARD")}
    columns, rows = steps(results)
    table("Flow: an order alone on the warm embedded AWS, ms", columns, rows, "median (middle half)")
    write("flow", {"milliseconds": results})
    return True


def steps(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> tuple[list[str], list[list[str]]]:
    """Returns columns and rows of the table, for the results that `flow` writes."""
    names = next(iter(results.values()))
    rows = [[name, *(_text(of[name]) for of in results.values())] for name in names]
    return ["step", *results], rows


def _text(figure: Mapping[str, float]) -> str:
    return f"{figure['median']:.0f} ({figure['low']:.0f} to {figure['high']:.0f})"


def _measure(kind: str) -> dict[str, dict[str, float]]:
    samples: dict[str, list[float]] = {}
    with running_stack(config={"workflowType": kind}) as stack:
        client = StackClient(stack)
        user = client.create_user()
        products = [client.create_product(1000) for _ in range(2)]
        for number in range(_WARM_UP + _ORDERS):
            marks = _one_order(stack, client, user, products)
            if number >= _WARM_UP:
                for (_, begin), (name, end) in pairwise(marks):
                    samples.setdefault(name, []).append((end - begin) * 1e3)
                samples.setdefault("**all**", []).append((marks[-1][1] - marks[0][1]) * 1e3)
    return {name: Figure.of(of).as_json() for name, of in samples.items()}


def _one_order(
    stack: RunningStack, client: StackClient, user: str, products: Sequence[str]
) -> list[tuple[str, float]]:
    """Creates an order and returns when it began, and each step with its end, in seconds."""
    states = stack.client("stepfunctions")
    began = time.time()
    order = client.create_order(user, [*products])
    answered = time.time()
    machine = str(stack.outputs["stateMachineArn"])
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{order}-1"
    end = time.monotonic() + _TIMEOUT
    while client.status(order) != "FULFILLED":
        if time.monotonic() > end:
            raise RuntimeError(f"order {order} was not FULFILLED within {_TIMEOUT:.0f} s")
        time.sleep(0.05)
    history = states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    return [("", began), ("POST /orders", answered), *_marks(history)]


def _marks(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    marks = []
    for event in history:
        at: datetime = event["timestamp"]
        if event["type"] == "ExecutionStarted":
            marks.append(("queue and `order_consumer`", at.timestamp()))
        elif event["type"].endswith("StateEntered") and len(marks) == 1:
            marks.append(("start of the execution", at.timestamp()))
        elif event["type"].endswith("StateExited"):
            marks.append((f"`{event['stateExitedEventDetails']['name']}`", at.timestamp()))
    return marks
