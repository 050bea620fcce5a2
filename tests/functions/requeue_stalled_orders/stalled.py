"""Creates stalled orders and runs the requeue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from functions.shared.order_queue import OrderMessage
from local.memory.backend import MemoryBackend
from local.memory.cloud import Execution, Hook, ServiceCall
from local.memory.functions import LambdaContext, invoke
from local.memory.queues import Message

LONG_AGO = "2026-01-01T00:00:00.000Z"


class Overtaking(Hook):
    """Runs an action before a call with this operation, after `skipped` others."""

    def __init__(self, operation: str, action: Callable[[], object], *, skipped: int = 0) -> None:
        self._operation = operation
        self._actions = [*[lambda: None] * skipped, action]

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        if call.operation == self._operation and self._actions:
            self._actions.pop(0)()


class LimitedContext(LambdaContext):
    """A context with these remaining times, and none after them."""

    def __init__(self, times: list[int]) -> None:
        self._times = iter(times)

    def get_remaining_time_in_millis(self) -> int:
        return next(self._times)


def requeue(context: Any = None, *, event: Mapping[str, Any] | None = None) -> Any:
    """Run the requeue once. Returns the outcomes with a count above 0."""
    report = invoke("requeue_stalled_orders", event or {}, context)
    return {outcome: count for outcome, count in report.items() if count}


def stalled_order(
    backend: MemoryBackend, *, validated: bool = False, attempt: int = 1, **attributes: object
) -> str:
    """Stores an order that is open for long and has no message in the queue. Returns its id."""
    quantities = {backend.create_product(stock=5): 2}
    order_id = (
        backend.create_validated_order(quantities)
        if validated
        else backend.create_order(backend.create_user(), quantities)
    )
    backend.take_messages()
    backend.take_events()
    backend.set_order(order_id, dueAt=LONG_AGO, attempt=attempt, **attributes)
    return order_id


def start_execution(backend: MemoryBackend, order_id: str) -> Execution:
    """Starts the execution of the order's first attempt."""
    message = OrderMessage(order_id, 1, "cid-1")
    backend.cloud.queue.append(Message(msgspec.json.encode(message).decode()))
    backend.deliver_messages()
    return backend.running_executions()[-1]


def measured(capsys: pytest.CaptureFixture[str], *names: str) -> tuple[float, ...]:
    """Returns these metrics of the only run since the output was last read."""
    (record,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    return tuple(value for name in names for value in record[name])
