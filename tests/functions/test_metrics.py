"""The metrics that the code emits are those that the alarms and the dashboard name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.components.monitored import Named, named_metrics
from tests.functions.world import ENVIRONMENT, LambdaContext, World, handler_of, invoke_task
from tests.program import declared

METRIC_FILTER = "aws:cloudwatch/logMetricFilter:LogMetricFilter"


class Emitted(NamedTuple):
    """One value in a record of CloudWatch's embedded metric format."""

    name: str
    dimensions: dict[str, str]
    unit: str
    value: float


@pytest.fixture
def emitted(world: World, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[Emitted]]:
    """What was emitted since it was asked last."""
    capsys.readouterr()
    return lambda: [value for line in capsys.readouterr().out.splitlines() for value in _values(line)]


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


def placed(world: World, quantity: int = 1) -> str:
    return world.order(world.user(), {world.product(stock=5): quantity})


def moved(order_id: str, status: str, reason: str | None = None, shipment: object = None) -> None:
    invoke_task("update_order_status", order_id, status=status, reason=reason, shipment=shipment)


def story(world: World, emitted: Callable[[], list[Emitted]]) -> dict[str, list[Emitted]]:
    """Everything that can become of an order, and what each function emits on the way."""
    told: dict[str, list[Emitted]] = {}

    def by(function: str, ran: Callable[[], Any]) -> Any:
        emitted()
        result = ran()
        told.setdefault(function, []).extend(emitted())
        return result

    cancelled = by("orders_api", lambda: placed(world))
    by("orders_api", lambda: world.api.post(f"/orders/{cancelled}/cancel"))
    fulfilled = world.validated_order({world.product(): 1})
    shipment = world.reserve(fulfilled)
    by("update_order_status", lambda: moved(fulfilled, "FULFILLED", shipment=shipment))
    rejected, failed = placed(world), placed(world)
    by(
        "update_order_status",
        lambda: moved(rejected, "REJECTED", reason="unknown_user: there is no such user"),
    )
    by("update_order_status", lambda: moved(failed, "FAILED", reason="refused"))
    requeued, given_up = placed(world), placed(world)
    for order_id, attempt in ((requeued, 1), (given_up, 3)):
        world.set_order(order_id, openSince="2026-01-01T00:00:00.000Z", attempt=attempt)
    by("requeue_stalled_orders", lambda: handler_of("requeue_stalled_orders")({}, LambdaContext()))
    return told


def in_the_program(told: dict[str, list[Emitted]]) -> set[tuple[str, frozenset[str], str]]:
    """Name, dimensions' names and function, as the program configures the functions."""
    return {
        (metric.name, frozenset(metric.dimensions), function)
        for function, found in told.items()
        for metric in found
    }


def own(metrics_named: set[Named]) -> set[Named]:
    """Those of the program's functions; what the logs are counted into comes from AWS."""
    counted = {found.inputs["metricTransformation"]["name"] for found in declared().of_type(METRIC_FILTER)}
    return {
        metric
        for metric in metrics_named
        if not metric.namespace.startswith("AWS/") and metric.name not in counted
    }


@pytest.fixture
def told(
    world: World, emitted: Callable[[], list[Emitted]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Emitted]]:
    from functions.requeue_stalled_orders import handler

    monkeypatch.setattr(handler, "_is_running", lambda _message: False)
    return story(world, emitted)


def test_every_metric_that_is_named_is_emitted_by_the_function_that_is_named(
    told: dict[str, list[Emitted]],
) -> None:
    emitted_ones = in_the_program(told)
    for metric in own(named_metrics(declared())):
        assert metric.namespace == "orderflow/dev"
        functions = metric.values or {"update_order_status"}  # a search names no function
        assert {(metric.name, metric.dimensions, name) for name in functions} <= emitted_ones, metric


def test_every_metric_that_is_emitted_is_watched_or_shown(told: dict[str, list[Emitted]]) -> None:
    named = {metric.name for metric in own(named_metrics(declared()))}
    assert {name for name, _, _ in in_the_program(told)} == named


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
    }


def test_a_function_emits_under_its_own_name(told: dict[str, list[Emitted]]) -> None:
    """Powertools takes it from the environment, where the program puts it."""
    services = {metric.dimensions["service"] for found in told.values() for metric in found}
    assert services == {ENVIRONMENT["POWERTOOLS_SERVICE_NAME"]}


def test_a_repeat_counts_nothing(world: World, emitted: Callable[[], list[Emitted]]) -> None:
    order_id = placed(world)
    world.api.post(f"/orders/{order_id}/cancel")
    emitted()
    world.api.post(f"/orders/{order_id}/cancel")
    assert emitted() == []


def test_what_a_task_finds_is_told_in_the_words_that_the_logs_are_searched_for(
    world: World, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """The pattern of the metric filters counts these lines, and no others."""
    order_id = placed(world, quantity=99)
    world.set_order(order_id, attempt=2)
    with pytest.raises(Exception, match="attempt 2"):
        invoke_task("validate_order", order_id, attempt=1)
    (line,) = [line for line in log_lines() if line["message"] != "request"][-1:]
    assert line["outcome"] == "Superseded"
    (found,) = [f for f in declared().of_type(METRIC_FILTER) if f.name == "validate_order-outcomes"]
    assert f'($.outcome = "{line["outcome"]}")' in found.inputs["pattern"]
    assert '"success"' not in found.inputs["pattern"]
