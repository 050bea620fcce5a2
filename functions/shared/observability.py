"""One logger and one set of metrics per function, configured by Powertools' environment variables."""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()


def emit(
    *,
    seconds: Mapping[str, float] | None = None,
    counts: tuple[str, ...] = (),
    totals: Mapping[str, int] | None = None,
    **dimensions: str,
) -> None:
    """Emit durations in seconds, counts of one and counts of many, in one record of CloudWatch's embedded
    metric format.

    Dimensions must have few possible values: every combination is a metric of its own, and is billed.
    """
    for name, value in dimensions.items():
        metrics.add_dimension(name=name, value=value)
    for metric, count in (dict.fromkeys(counts, 1) | dict(totals or {})).items():
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=count)
    for metric, duration in (seconds or {}).items():
        metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=duration)
    metrics.flush_metrics()
