"""The dashboard, on one screen: orders, the flow, failures and cost.

The body's format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pulumi

from components.function import LambdaFunction
from components.metrics import (
    Metric,
    MonitoredParts,
    from_code,
    from_code_by,
    of_api,
    of_dead_letters,
    of_function,
    of_queue,
    of_table,
    of_workflow,
)
from components.settings.monitoring import MonitoringSettings

Line = list[Any]
Widget = dict[str, Any]

_WIDTH: Final = 24  # CloudWatch's grid
_HEIGHT: Final = 4
_PERIOD: Final = 300


def body(
    observed: MonitoredParts,
    settings: MonitoringSettings,
    *,
    alarms: Sequence[pulumi.Input[str]],
    graphs: Sequence[Widget],
    region: pulumi.Input[str],
) -> pulumi.Output[str]:
    """Returns the dashboard's body as JSON. `alarms` are ARNs, `graphs` those of optional capabilities."""
    behind_api = observed.api.functions
    background = [function for function in observed.functions if function not in behind_api]
    rows = [
        [_about(settings), {"type": "alarm", "properties": {"title": "Alarms", "alarms": list(alarms)}}],
        [_orders(), _rejections(), _time_to_fulfill(), _stalled()],
        [
            _requests(observed),
            _latency(observed, settings),
            _queue(observed, settings),
            _executions(observed),
        ],
        # CloudWatch has ten colors, too few for all functions in one graph.
        [
            _failures("Exceptions behind the API", behind_api),
            _failures("Exceptions in the background (of a task: its findings too)", background),
            _durations("Milliseconds behind the API (p99)", behind_api),
            _durations("Milliseconds in the background (p99)", background),
        ],
        [_throttles(observed), *graphs, _costs(observed)],
    ]
    return pulumi.Output.json_dumps({"widgets": list(_placed(rows, region))})


def _placed(rows: Sequence[Sequence[Widget]], region: pulumi.Input[str]) -> Iterable[Widget]:
    """Returns the widgets with their positions. All widgets of a row have the same width."""
    for row, widgets in enumerate(rows):
        width = _WIDTH // len(widgets)
        for column, widget in enumerate(widgets):
            if widget["type"] == "metric":
                widget["properties"]["region"] = region
            yield {
                **widget,
                "x": column * width,
                "y": row * _HEIGHT,
                "width": width,
                "height": _HEIGHT,
            }


# --- orders ---


def _about(settings: MonitoringSettings) -> Widget:
    page = settings.runbook_url
    runbook = f"[the runbook]({page})" if page.startswith("https:") else f"`{page}`"
    text = (
        f"# {pulumi.get_project()} {pulumi.get_stack()}\n"
        "What became of the orders; their way over API, queue and workflow; below it what stands in the way, "
        f"and what it costs. What to do about an alarm: {runbook}, under the alarm's name."
    )
    return {"type": "text", "properties": {"markdown": text}}


def _orders() -> Widget:
    return graph(
        "Orders placed, and how they ended",
        [
            line(from_code("orders_api", "OrdersPlaced"), "placed"),
            # Reports end orders too, so several functions emit these.
            _math(f"SUM({from_code_by('service', 'OrdersFulfilled')})", "fulfilled"),
            _math(f"SUM({from_code_by('reason', 'OrdersRejected')})", "rejected"),
            _math(f"SUM({from_code_by('service', 'OrdersCancelled')})", "cancelled"),
            _math(f"SUM({from_code_by('service', 'OrdersFailed')})", "failed: refused"),
            line(from_code("requeue_stalled_orders", "AttemptsExhausted"), "failed: attempts used up"),
        ],
    )


def _rejections() -> Widget:
    by_reason = _math(from_code_by("reason", "OrdersRejected"), "${PROP('Dim.reason')}")
    return graph("Rejected orders by reason", [by_reason], stacked=True)


def _time_to_fulfill() -> Widget:
    took = from_code("update_order_status", "TimeToFulfill")
    return graph(
        "Seconds from placed to fulfilled (by the workflow)",
        [line(took.by("p50"), "p50"), line(took.by("p99"), "p99")],
    )


def _stalled() -> Widget:
    names = {"OrdersStalled": "stalled", "OrdersRequeued": "tried again", "AttemptsExhausted": "given up"}
    return graph(
        "Stalled orders",
        [line(from_code("requeue_stalled_orders", name), label) for name, label in names.items()],
    )


# --- the path of an order ---


def _requests(observed: MonitoredParts) -> Widget:
    return graph(
        "API requests",
        [
            line(of_api(observed.api, "Count"), "all"),
            line(of_api(observed.api, "4XXError"), "client errors"),
            line(of_api(observed.api, "5XXError"), "server errors"),
        ],
    )


def _latency(observed: MonitoredParts, settings: MonitoringSettings) -> Widget:
    latency = of_api(observed.api, "Latency")
    return graph(
        "Milliseconds to the API's answer",
        [line(latency.by("p50"), "p50"), line(latency.by("p99"), "p99")],
        limit=settings.latency_ms,
    )


def _queue(observed: MonitoredParts, settings: MonitoringSettings) -> Widget:
    waiting, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    return graph(
        "Orders queue: messages, and age of the oldest (s, right)",
        [
            line(of_queue(observed.queue, waiting).by("Maximum"), "waiting"),
            line(of_dead_letters(observed.queue, waiting).by("Maximum"), "dead letters"),
            line(of_queue(observed.queue, age).by("Maximum"), "oldest (s)", yAxis="right"),
        ],
        limit=settings.queue_seconds,
        limit_axis="right",
    )


def _executions(observed: MonitoredParts) -> Widget:
    names = {
        "ExecutionsStarted": "started",
        "ExecutionsSucceeded": "succeeded",
        "ExecutionsFailed": "failed",
        "ExecutionsTimedOut": "timed out",
    }
    return graph(
        "Workflow executions",
        [line(of_workflow(observed.workflow, name), label) for name, label in names.items()],
    )


# --- failures and cost ---


def _failures(title: str, functions: Sequence[LambdaFunction]) -> Widget:
    lines = [line(of_function(function, "Errors"), function.name) for function in functions]
    return graph(title, lines, stacked=True)


def _durations(title: str, functions: Sequence[LambdaFunction]) -> Widget:
    lines = [line(of_function(function, "Duration").by("p99"), function.name) for function in functions]
    return graph(title, lines)


def _throttles(observed: MonitoredParts) -> Widget:
    functions = [of_function(function, "Throttles") for function in observed.functions]
    tables = [
        metric
        for table in observed.tables.values()
        for name in ("ReadThrottleEvents", "WriteThrottleEvents")
        for metric in of_table(table, name)
    ]
    return graph(
        "Throttled invocations, reads and writes",
        [*_total("f", functions, "functions"), *_total("t", tables, "tables")],
    )


def _costs(observed: MonitoredParts) -> Widget:
    """Returns the widget of what AWS bills, over the time range of the dashboard."""
    tables = observed.tables.values()
    reads = [metric for table in tables for metric in of_table(table, "ConsumedReadCapacityUnits")]
    writes = [metric for table in tables for metric in of_table(table, "ConsumedWriteCapacityUnits")]
    durations = [
        line(of_function(function, "Duration"), "", id=f"d{number}", visible=False)
        for number, function in enumerate(observed.functions)
    ]
    gb_milliseconds = ", ".join(
        f"d{number} * {function.memory_mb / 1024:g}" for number, function in enumerate(observed.functions)
    )
    is_express = observed.workflow.type == "EXPRESS"
    runs = (
        line(of_workflow(observed.workflow, "ExpressExecutionBilledDuration"), "workflow (billed ms)")
        if is_express
        # AWS bills transitions, but has a metric only for those of the whole account.
        else line(of_workflow(observed.workflow, "ExecutionsStarted"), "workflow (executions)")
    )
    widget = graph(
        "Cost drivers",
        [
            line(of_api(observed.api, "Count"), "API requests"),
            *durations,
            _math(f"SUM([{gb_milliseconds}]) / 1000", "Lambda (GB s)"),
            *_total("r", reads, "DynamoDB reads"),
            *_total("w", writes, "DynamoDB writes"),
            runs,
        ],
    )
    widget["properties"] |= {"view": "singleValue", "setPeriodToTimeRange": True}
    return widget


# --- widgets ---


def graph(
    title: str,
    lines: Sequence[Line],
    *,
    stacked: bool = False,
    limit: float | None = None,
    limit_axis: str = "left",
) -> Widget:
    """Returns a graph of lines. `limit` is the threshold of the alarm."""
    properties: dict[str, Any] = {
        "title": title,
        "view": "timeSeries",
        "stacked": stacked,
        "period": _PERIOD,
        "metrics": list(lines),
        "yAxis": {"left": {"min": 0, "showUnits": False}, "right": {"min": 0, "showUnits": False}},
    }
    if limit is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": limit, "yAxis": limit_axis}]}
    return {"type": "metric", "properties": properties}


def line(metric: Metric, label: str, **options: object) -> Line:
    """Returns a metric as a line of a graph."""
    dimensions = [part for pair in metric.dimensions.items() for part in pair]
    shown = {"label": label} if label else {}
    return [metric.namespace, metric.name, *dimensions, {"stat": metric.statistic, **shown, **options}]


def _math(expression: str, label: str) -> Line:
    return [{"expression": expression, "label": label}]


def _total(prefix: str, metrics: Sequence[Metric], label: str) -> list[Line]:
    """Returns one line: the sum of metrics that are not shown themselves."""
    ids = [f"{prefix}{number}" for number in range(len(metrics))]
    parts = [line(metric, "", id=name, visible=False) for name, metric in zip(ids, metrics, strict=True)]
    return [*parts, _math(f"SUM([{', '.join(ids)}])", label)]
