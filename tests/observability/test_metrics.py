"""The metrics that the code emits are those that the alarms and the dashboard name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from components.settings.functions import LOG_LEVELS
from functions.shared.domain.errors import DomainError, OrderRejected, Superseded
from local.engine.monitored import Named, named_metrics
from local.engine.stacks import declare_test_stack
from local.memory import state_machine as machine
from local.memory.backend import MemoryBackend
from local.memory.functions import ENVIRONMENT, LambdaContext, invoke, invoke_task
from tests.statemachines.paths import task_payloads

PAYLOADS = task_payloads()
TASKS = tuple(PAYLOADS)


class Emitted(NamedTuple):
    """One value in a record of CloudWatch's embedded metric format."""

    name: str
    dimensions: dict[str, str]
    unit: str
    value: float


@pytest.fixture
def emitted(backend: MemoryBackend, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[Emitted]]:
    """What was emitted since it was asked last."""
    capsys.readouterr()
    return lambda: [value for line in capsys.readouterr().out.splitlines() for value in _values(line)]


@pytest.fixture
def logging_at(backend: MemoryBackend) -> Iterator[Callable[[str], None]]:
    """Sets the least severe level that is logged."""
    from functions.shared.observability import logger

    level = logger.log_level
    yield logger.setLevel
    logger.setLevel(level)


def _values(line: str) -> Iterator[Emitted]:
    try:
        record = json.loads(line)
    except ValueError:
        return
    for directive in record.get("_aws", {}).get("CloudWatchMetrics", []):
        assert directive["Namespace"] == ENVIRONMENT["POWERTOOLS_METRICS_NAMESPACE"]
        (dimensions,) = directive["Dimensions"]
        for metric in directive["Metrics"]:
            (value,) = record[metric["Name"]]
            yield Emitted(metric["Name"], {name: record[name] for name in dimensions}, metric["Unit"], value)


def placed(backend: MemoryBackend) -> str:
    return backend.create_order(backend.create_user(), {backend.create_product(stock=5): 1})


def moved(order_id: str, status: str, reason: str | None = None, shipment: object = None) -> None:
    invoke_task("update_order_status", order_id, status=status, reason=reason, shipment=shipment)


def overtaken(backend: MemoryBackend) -> str:
    """An order whose first attempt another one is ahead of."""
    order_id = placed(backend)
    backend.set_order(order_id, attempt=2)
    return order_id


def superseded(task: str, order_id: str) -> None:
    with pytest.raises(Superseded):
        invoke(task, {**PAYLOADS[task], "orderId": order_id})


def story(backend: MemoryBackend, emitted: Callable[[], list[Emitted]]) -> dict[str, list[Emitted]]:
    """Everything that can become of an order, and what each function emits on the way."""
    told: dict[str, list[Emitted]] = {}

    def by(function: str, ran: Callable[[], Any]) -> Any:
        emitted()
        result = ran()
        told.setdefault(function, []).extend(emitted())
        return result

    cancelled = by("orders_api", lambda: placed(backend))
    by("orders_api", lambda: backend.api.post(f"/orders/{cancelled}/cancel"))
    fulfilled = backend.create_validated_order({backend.create_product(): 1})
    shipment = backend.reserve(fulfilled)
    by("update_order_status", lambda: moved(fulfilled, "FULFILLED", shipment=shipment))
    rejected, failed = placed(backend), placed(backend)
    by(
        "update_order_status",
        lambda: moved(rejected, "REJECTED", reason="unknown_user: there is no such user"),
    )
    by("update_order_status", lambda: moved(failed, "FAILED", reason="refused"))
    requeued, given_up = placed(backend), placed(backend)
    for order_id, attempt in ((requeued, 1), (given_up, 3)):
        backend.set_order(order_id, openSince="2026-01-01T00:00:00.000Z", attempt=attempt)
    by("requeue_stalled_orders", lambda: invoke("requeue_stalled_orders", {}))
    for task in TASKS:
        by(task, partial(superseded, task, overtaken(backend)))
    return told


def in_program(told: dict[str, list[Emitted]]) -> set[tuple[str, frozenset[str], str]]:
    """Name, dimensions' names and function, as the program configures the functions."""
    return {
        (metric.name, frozenset(metric.dimensions), function)
        for function, found in told.items()
        for metric in found
    }


def own(metrics_named: set[Named]) -> set[Named]:
    """Those of the program's functions."""
    return {metric for metric in metrics_named if not metric.namespace.startswith("AWS/")}


@pytest.fixture
def told(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Emitted]]:
    from functions.requeue_stalled_orders import handler

    monkeypatch.setattr(handler, "_is_running", lambda _message: False)
    return story(backend, emitted)


def test_every_metric_that_is_named_is_emitted_by_the_function_that_is_named(
    told: dict[str, list[Emitted]],
) -> None:
    emitted_ones = in_program(told)
    for metric in own(named_metrics(declare_test_stack())):
        assert metric.namespace == "orderflow/dev"
        functions = metric.values or {"update_order_status"}  # a search names no function
        assert {(metric.name, metric.dimensions, name) for name in functions} <= emitted_ones, metric


def test_every_metric_that_is_emitted_is_watched_or_shown(told: dict[str, list[Emitted]]) -> None:
    named = {metric.name for metric in own(named_metrics(declare_test_stack()))}
    assert {name for name, _, _ in in_program(told)} == named


def test_metrics_are_counted_in_their_units(told: dict[str, list[Emitted]]) -> None:
    found = {metric.name: (metric.unit, metric.value) for metrics in told.values() for metric in metrics}
    unit, took = found.pop("TimeToFulfill")
    assert unit == "Seconds"
    assert 0 <= took < 60
    assert found == {
        "OrdersPlaced": ("Count", 1),
        "OrdersCancelled": ("Count", 1),
        "OrdersFulfilled": ("Count", 1),
        "OrdersRejected": ("Count", 1),
        "OrdersFailed": ("Count", 1),
        "OrdersStalled": ("Count", 2),
        "OrdersRequeued": ("Count", 1),
        "AttemptsExhausted": ("Count", 1),
        "TaskOutcomes": ("Count", 1),
    }


def test_a_function_emits_under_its_own_name(told: dict[str, list[Emitted]]) -> None:
    """Powertools takes it from the environment, where the program puts it."""
    services = {metric.dimensions["service"] for found in told.values() for metric in found}
    assert services == {ENVIRONMENT["POWERTOOLS_SERVICE_NAME"]}


def test_a_repeat_counts_nothing(backend: MemoryBackend, emitted: Callable[[], list[Emitted]]) -> None:
    order_id = placed(backend)
    backend.api.post(f"/orders/{order_id}/cancel")
    emitted()
    backend.api.post(f"/orders/{order_id}/cancel")
    assert emitted() == []


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_what_a_task_finds_is_counted_however_little_is_logged(
    backend: MemoryBackend,
    emitted: Callable[[], list[Emitted]],
    logging_at: Callable[[str], None],
    level: str,
) -> None:
    """The alarm on a task's errors takes these off: uncounted, every cancelled order would ring it."""
    logging_at(level)
    for task in TASKS:
        order_id = overtaken(backend)
        emitted()
        superseded(task, order_id)
        assert [(metric.name, metric.value) for metric in emitted()] == [("TaskOutcomes", 1)], task


@pytest.mark.parametrize("kind", DomainError.__subclasses__())
def test_exactly_what_the_workflow_catches_by_name_is_counted(
    emitted: Callable[[], list[Emitted]], kind: type[DomainError]
) -> None:
    from functions.shared.task import Task, task_handler

    @task_handler(Task)
    def handler(_task: Task) -> None:
        raise kind("x", "y") if kind is OrderRejected else kind("x")

    with pytest.raises(kind):
        handler({"orderId": "o-1", "attempt": 1, "correlationId": "c"}, LambdaContext())
    states = machine.definition()["States"].values()
    caught = {name for state in states for catch in state.get("Catch", ()) for name in catch["ErrorEquals"]}
    assert [metric.name for metric in emitted()] == ["TaskOutcomes"] * (kind.__name__ in caught)


def test_a_task_that_succeeds_emits_nothing(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]]
) -> None:
    order_id = placed(backend)
    emitted()
    invoke_task("validate_order", order_id)
    assert emitted() == []
