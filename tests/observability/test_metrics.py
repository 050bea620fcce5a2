"""The functions emit exactly the metrics that the alarms and the dashboard use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from components.settings.functions import LOG_LEVELS
from functions.shared.domain.errors import DomainError, OrderRejected, RejectionCode, Superseded
from local.engine.monitored import Named, named_metrics
from local.engine.stacks import declare_test_stack
from local.memory import state_machine as machine
from local.memory.backend import MemoryBackend
from local.memory.functions import ENVIRONMENT, LambdaContext, invoke, invoke_task
from tests.observability.emitted import Emitted, emitted_in
from tests.statemachines.paths import task_payloads

PAYLOADS = task_payloads()
TASKS = tuple(PAYLOADS)


@pytest.fixture
def emitted(backend: MemoryBackend, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[Emitted]]:
    """Returns the values that were emitted since the last call."""
    capsys.readouterr()
    return lambda: list(emitted_in(capsys.readouterr().out))


@pytest.fixture
def set_log_level(backend: MemoryBackend) -> Iterator[Callable[[str], None]]:
    """Sets the log level, and restores it after the test."""
    from functions.shared.observability import logger

    level = logger.log_level
    yield logger.setLevel
    logger.setLevel(level)


def create_order(backend: MemoryBackend) -> str:
    return backend.create_order(backend.create_user(), {backend.create_product(stock=5): 1})


def update_status(order_id: str, status: str, reason: str | None = None, shipment: object = None) -> None:
    invoke_task("update_order_status", order_id, status=status, reason=reason, fulfillment=shipment)


def create_superseded_order(backend: MemoryBackend) -> str:
    """Creates an order whose first attempt is superseded."""
    order_id = create_order(backend)
    backend.set_order(order_id, attempt=2)
    return order_id


def run_superseded(task: str, order_id: str) -> None:
    with pytest.raises(Superseded):
        invoke(task, {**PAYLOADS[task], "orderId": order_id})


def emit_all(backend: MemoryBackend, emitted: Callable[[], list[Emitted]]) -> dict[str, list[Emitted]]:
    """Runs every outcome of an order. Returns what each function emitted."""
    by_function: dict[str, list[Emitted]] = {}

    def record(function: str, ran: Callable[[], Any]) -> Any:
        emitted()
        result = ran()
        by_function.setdefault(function, []).extend(emitted())
        return result

    cancelled = record("orders_api", lambda: create_order(backend))
    record("orders_api", lambda: backend.api.post(f"/orders/{cancelled}/cancel"))
    fulfilled = backend.create_validated_order({backend.create_product(): 1})
    shipment = backend.reserve(fulfilled)
    record("update_order_status", lambda: update_status(fulfilled, "FULFILLED", shipment=shipment))
    rejected, failed = create_order(backend), create_order(backend)
    record(
        "update_order_status",
        lambda: update_status(rejected, "REJECTED", reason="unknown_user: there is no such user"),
    )
    record("update_order_status", lambda: update_status(failed, "FAILED", reason="refused"))
    requeued, exhausted = create_order(backend), create_order(backend)
    for order_id, attempt in ((requeued, 1), (exhausted, 3)):
        backend.set_order(order_id, dueAt="2026-01-01T00:00:00.000Z", attempt=attempt)
    record("requeue_stalled_orders", lambda: invoke("requeue_stalled_orders", {}))
    for task in TASKS:
        record(task, partial(run_superseded, task, create_superseded_order(backend)))
    return by_function


def identities(by_function: dict[str, list[Emitted]]) -> set[tuple[str, frozenset[str], str]]:
    """Returns name, dimension names and function of each metric."""
    return {
        (metric.name, frozenset(metric.dimensions), function)
        for function, found in by_function.items()
        for metric in found
    }


def metrics_of_functions(metrics_named: set[Named]) -> set[Named]:
    """Returns the metrics of the program's functions."""
    return {metric for metric in metrics_named if not metric.namespace.startswith("AWS/")}


@pytest.fixture
def by_function(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Emitted]]:
    from functions.requeue_stalled_orders import handler

    monkeypatch.setattr(handler, "_is_running", lambda _message: False)
    return emit_all(backend, emitted)


def test_every_used_metric_is_emitted_by_the_function_that_it_names(
    by_function: dict[str, list[Emitted]],
) -> None:
    emitted_ones = identities(by_function)
    for metric in metrics_of_functions(named_metrics(declare_test_stack())):
        assert metric.namespace == "orderflow/dev"
        functions = metric.values or {"update_order_status"}  # a search names no function
        assert {(metric.name, metric.dimensions, name) for name in functions} <= emitted_ones, metric


def test_every_emitted_metric_is_used(by_function: dict[str, list[Emitted]]) -> None:
    named = {metric.name for metric in metrics_of_functions(named_metrics(declare_test_stack()))}
    assert {name for name, _, _ in identities(by_function)} == named


def test_metrics_have_their_units(by_function: dict[str, list[Emitted]]) -> None:
    found = {
        metric.name: (metric.unit, metric.value) for metrics in by_function.values() for metric in metrics
    }
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


def test_a_function_emits_under_its_own_name(by_function: dict[str, list[Emitted]]) -> None:
    """Powertools reads the name from the environment of the function."""
    services = {metric.dimensions["service"] for found in by_function.values() for metric in found}
    assert services == {ENVIRONMENT["POWERTOOLS_SERVICE_NAME"]}


def test_a_repeated_request_emits_no_metric(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]]
) -> None:
    order_id = create_order(backend)
    backend.api.post(f"/orders/{order_id}/cancel")
    emitted()
    backend.api.post(f"/orders/{order_id}/cancel")
    assert emitted() == []


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_an_outcome_of_a_task_is_counted_at_every_log_level(
    backend: MemoryBackend,
    emitted: Callable[[], list[Emitted]],
    set_log_level: Callable[[str], None],
    level: str,
) -> None:
    """The alarm on a task's errors subtracts them. Otherwise a cancelled order would raise it."""
    set_log_level(level)
    for task in TASKS:
        order_id = create_superseded_order(backend)
        emitted()
        run_superseded(task, order_id)
        assert [(metric.name, metric.value) for metric in emitted()] == [("TaskOutcomes", 1)], task


@pytest.mark.parametrize("kind", DomainError.__subclasses__())
def test_exactly_the_errors_that_the_workflow_catches_by_name_are_counted(
    emitted: Callable[[], list[Emitted]], kind: type[DomainError]
) -> None:
    from functions.shared.task import Task, task_handler

    @task_handler(Task)
    def handler(_task: Task) -> None:
        raise kind(RejectionCode.UNKNOWN_USER, "y") if kind is OrderRejected else kind("x")

    with pytest.raises(kind):
        handler({"orderId": "o-1", "attempt": 1, "correlationId": "c"}, LambdaContext())
    states = machine.definition()["States"].values()
    caught = {name for state in states for catch in state.get("Catch", ()) for name in catch["ErrorEquals"]}
    assert [metric.name for metric in emitted()] == ["TaskOutcomes"] * (kind.__name__ in caught)


def test_a_task_that_succeeds_emits_no_metric(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]]
) -> None:
    order_id = create_order(backend)
    emitted()
    invoke_task("validate_order", order_id)
    assert emitted() == []
