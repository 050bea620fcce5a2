"""The functions emit exactly the metrics that the alarms and the dashboard use."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from components.settings.functions import LOG_LEVELS
from functions.shared.domain.errors import DomainError, OrderRejected, RejectionCode, Superseded
from local.engine.monitored import Named, named_metrics
from local.engine.stacks import EVERYTHING, declare_test_stack
from local.memory import state_machine as machine
from local.memory.backend import MemoryBackend, installed
from local.memory.functions import ENVIRONMENT, LambdaContext, invoke, invoke_task
from local.partners.shipping import ShippingPlan
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
        # A search names no function: it adds up those that emit the metric.
        functions = metric.values or {found[2] for found in emitted_ones if found[0] == metric.name}
        assert functions, metric
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


# --- with a fulfillment system ----------------------------------------------------------------------------


@pytest.fixture
def shipping(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBackend]:
    """A backend whose fulfillment system accepts orders and ships them later. Signatures are not checked."""
    backend = MemoryBackend(uses_fulfillment_system=True)
    backend.add_products(p1=5)
    with installed(backend):
        from functions.reports_api import handler

        backend.cloud.partner.shipping = ShippingPlan(ships_after=1e9)
        monkeypatch.setattr(handler, "_secret", object())
        monkeypatch.setattr(handler, "check_signature", lambda *_: None)
        yield backend


def order_in_fulfillment(backend: MemoryBackend, pieces: int = 1) -> str:
    order_id = backend.place_order("k", p1=pieces)
    backend.run_workflow()
    assert backend.status(order_id) == "IN_FULFILLMENT"
    return order_id


def report_parcel(backend: MemoryBackend, order_id: str, parcel: str = "S-1", **more: str) -> int:
    body = {"lines": [{"productId": "p1", "quantity": 1}], "shippedAt": "2026-01-31T08:00:00Z", **more}
    return backend.api.put(f"/orders/{order_id}/shipments/{parcel}", body).status


def test_a_parcel_of_an_order_that_was_given_up_is_counted_and_logged_once(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.shared.observability import logger

    order_id = order_in_fulfillment(shipping)
    shipping.set_order(order_id, status="FAILED")
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    capsys.readouterr()
    assert [report_parcel(shipping, order_id) for _ in range(2)] == [201, 200]
    counted = [(metric.name, metric.value) for metric in emitted_in(capsys.readouterr().out)]
    assert counted == [("UnexpectedShipments", 1)]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (logged,) = [line for line in lines if line["level"] == "ERROR"]
    assert (logged["order_id"], logged["shipment_id"]) == (order_id, "S-1")
    assert logged["message"] == "a parcel of an order that was given up"


def counted_in(output: str) -> list[str]:
    """Returns the names of the counts that are not of a run of the requeue."""
    of_runs = ("OrdersOverdue", "OrdersStalled", "OrdersRequeued", "AttemptsExhausted")
    found = [metric for metric in emitted_in(output) if metric.name not in of_runs]
    assert all(metric.value == 1 for metric in found if metric.unit == "Count")
    return [metric.name for metric in found]


@pytest.mark.parametrize("delivered", [{}, {"deliveredAt": "2026-01-31T09:00:00Z"}])
def test_an_order_that_parcels_fulfill_is_counted_with_the_last_one_and_not_timed(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str], delivered: dict[str, str]
) -> None:
    order_id = order_in_fulfillment(shipping, pieces=2)
    capsys.readouterr()
    assert report_parcel(shipping, order_id) == 201
    assert counted_in(capsys.readouterr().out) == []
    assert [report_parcel(shipping, order_id, "S-2", **delivered) for _ in range(2)] == [201, 200]
    assert counted_in(capsys.readouterr().out) == ["OrdersFulfilled"]
    for parcel in ("S-1", "S-2"):
        assert report_parcel(shipping, order_id, parcel, deliveredAt="2026-01-31T09:00:00Z") == 200
    assert shipping.status(order_id) == "DELIVERED"
    assert counted_in(capsys.readouterr().out) == []


def test_an_order_whose_lines_are_all_refused_is_counted_once_as_failed(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = order_in_fulfillment(shipping)
    body = {"lines": [{"productId": "p1", "quantity": 1}], "reason": "broken"}
    capsys.readouterr()
    for _ in range(2):
        shipping.api.put(f"/orders/{order_id}/refusals/R-1", body)
    assert shipping.status(order_id) == "FAILED"
    assert counted_in(capsys.readouterr().out) == ["OrdersFailed"]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (ShippingPlan(), ["OrdersFulfilled", "TimeToFulfill"]),
        (ShippingPlan(parcels=2), ["OrdersFulfilled"]),
        (ShippingPlan(delivers_after=0), ["OrdersFulfilled"]),
        (ShippingPlan(refuses=frozenset({"1"})), ["TaskOutcomes", "OrdersFailed"]),
    ],
)
def test_an_order_that_ends_in_fulfill_order_is_counted_once_and_timed_if_a_task_sets_its_status(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str], plan: ShippingPlan, expected: list[str]
) -> None:
    shipping.cloud.partner.shipping = plan
    order_id = shipping.place_order("k", p1=2)
    capsys.readouterr()
    shipping.run_workflow()
    assert shipping.status(order_id) in ("FULFILLED", "DELIVERED", "FAILED")
    assert counted_in(capsys.readouterr().out) == expected


def test_an_order_that_the_requeue_finds_shipped_is_counted_once(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    shipping.cloud.partner.shipping = ShippingPlan(ships_after=60)
    order_id = order_in_fulfillment(shipping)
    shipping.wait(48 * 60 + 1)
    capsys.readouterr()
    for _ in range(2):
        invoke("requeue_stalled_orders", {})
    assert shipping.status(order_id) == "FULFILLED"
    assert counted_in(capsys.readouterr().out) == ["OrdersFulfilled"]


def overdue_in(output: str) -> list[float]:
    """Returns the values of `OrdersOverdue`."""
    return [metric.value for metric in emitted_in(output) if metric.name == "OrdersOverdue"]


def test_a_silent_order_is_counted_as_overdue(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    order_in_fulfillment(shipping)
    capsys.readouterr()
    invoke("requeue_stalled_orders", {})
    assert overdue_in(capsys.readouterr().out) == [0]
    shipping.wait(48 * 60 + 1)
    invoke("requeue_stalled_orders", {})
    assert overdue_in(capsys.readouterr().out) == [1]


def test_an_answered_request_to_cancel_is_counted_as_cancelled_and_not_as_overdue(
    shipping: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = order_in_fulfillment(shipping)
    assert shipping.api.post(f"/orders/{order_id}/cancel").status == 202
    shipping.wait(1)
    capsys.readouterr()
    invoke("requeue_stalled_orders", {})
    output = capsys.readouterr().out
    assert (overdue_in(output), counted_in(output)) == ([0], ["OrdersCancelled"])
    assert shipping.status(order_id) == "CANCELLED"


def test_only_a_stack_with_a_fulfillment_system_uses_the_metrics_of_its_reports(
    backend: MemoryBackend, emitted: Callable[[], list[Emitted]]
) -> None:
    def used(**config: Any) -> set[tuple[str, frozenset[str]]]:
        found = metrics_of_functions(named_metrics(declare_test_stack(**config)))
        return {(metric.name, metric.values) for metric in found}

    assert used(**EVERYTHING) - used() == {
        ("UnexpectedShipments", frozenset({"reports_api"})),
        ("OrdersOverdue", frozenset({"requeue_stalled_orders"})),
    }
    emitted()
    invoke("requeue_stalled_orders", {})
    assert "OrdersOverdue" not in {metric.name for metric in emitted()}
