"""Reads the metrics that functions emit to their log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from local.memory.functions import ENVIRONMENT


class Emitted(NamedTuple):
    """One value in a record of CloudWatch's embedded metric format."""

    name: str
    dimensions: dict[str, str]
    unit: str
    value: float


def emitted_in(output: str) -> Iterator[Emitted]:
    """Yields the values in the printed lines of functions. Other lines are skipped."""
    for line in output.splitlines():
        yield from _values(line)


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
