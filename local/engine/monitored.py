"""Lists the metrics that the program's alarms and dashboard refer to."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from local.engine.program import ProgramRun

ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD: Final = "aws:cloudwatch/dashboard:Dashboard"

_SEARCH: Final = re.compile(r"SEARCH\('\{\"([^\"]+)\",([^}]+)\} MetricName=\"(\w+)\"', '(\w+)'\)")
_SELECT: Final = re.compile(r"SELECT (\w+)\((\w+)\) FROM SCHEMA\(\"([^\"]+)\", ([^)]+)\) WHERE .*")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A metric that an alarm or widget refers to: the names of its dimensions, and their values if given."""

    namespace: str
    name: str
    dimensions: frozenset[str]
    statistic: str
    values: frozenset[str]


def widgets(run: ProgramRun) -> list[dict[str, Any]]:
    """Returns the widgets of the one dashboard."""
    (board,) = run.of_type(DASHBOARD)
    found: list[dict[str, Any]] = json.loads(board.inputs["dashboardBody"])["widgets"]
    return found


def named_metrics(run: ProgramRun) -> set[Named]:
    """Returns all metrics that alarms and widgets refer to."""
    return {*_of_alarms(run), *_of_widgets(run)}


def expressions(run: ProgramRun) -> list[str]:
    """Returns all metric math expressions and queries of alarms and widgets."""
    in_alarms = [query for alarm in run.of_type(ALARM) for query in alarm.inputs.get("metricQueries", [])]
    in_widgets = [line[-1] for widget in widgets(run) for line in widget["properties"].get("metrics", [])]
    return [entry["expression"] for entry in (*in_alarms, *in_widgets) if entry.get("expression")]


def _of_alarms(run: ProgramRun) -> Iterator[Named]:
    for alarm in run.of_type(ALARM):
        inputs = alarm.inputs
        if "metricName" in inputs:
            statistic = inputs.get("statistic") or inputs["extendedStatistic"]
            yield _named(inputs["namespace"], inputs["metricName"], inputs["dimensions"], statistic)
        for query in inputs.get("metricQueries", []):
            if "metric" in query:
                metric = query["metric"]
                yield _named(
                    metric["namespace"], metric["metricName"], metric.get("dimensions", {}), metric["stat"]
                )
            else:
                yield from _of_expression(query["expression"])


def _of_widgets(run: ProgramRun) -> Iterator[Named]:
    for widget in widgets(run):
        for line in widget["properties"].get("metrics", []):
            if len(line) == 1:
                yield from _of_expression(line[0]["expression"])
            else:
                namespace, name, *pairs, options = line
                dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
                yield _named(namespace, name, dimensions, options["stat"])


def _of_expression(expression: str) -> Iterator[Named]:
    for namespace, dimensions, name, statistic in _SEARCH.findall(expression):
        yield _named(namespace, name, dict.fromkeys(dimensions.split(","), ""), statistic)
    for statistic, name, namespace, dimensions in _SELECT.findall(expression):
        yield _named(namespace, name, dict.fromkeys(dimensions.split(", "), ""), statistic.capitalize())


def _named(namespace: str, name: str, dimensions: dict[str, str], statistic: str) -> Named:
    return Named(
        namespace=namespace,
        name=name,
        dimensions=frozenset(dimensions),
        statistic=statistic,
        values=frozenset(value for value in dimensions.values() if value),
    )
