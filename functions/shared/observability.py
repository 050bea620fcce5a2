"""One logger and one set of metrics per function, configured by Powertools' environment variables."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()

# Lambda's application log level overrides that of Powertools, and must stay at INFO or below for the metrics.
# So the level of this project's lines is set on the underlying standard logger.
logging.getLogger(logger.service).setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))

# Keys of the logger that operators search for.
_SEARCHED = ("order_id", "attempt", "correlation_id")


def emit(
    *,
    seconds: Mapping[str, float] | None = None,
    counts: tuple[str, ...] = (),
    totals: Mapping[str, int] | None = None,
    properties: Mapping[str, object] | None = None,
    **dimensions: str,
) -> None:
    """Emits metrics in one record of CloudWatch's embedded metric format.

    They are durations in seconds, counts of one, and totals. With `properties` the record replaces a log
    line: it has them, and the order, attempt and correlation id of the logger. Dimensions must have few
    possible values: every combination is billed as a metric.
    """
    if properties:
        keys = logger.get_current_keys()
        searched = {name: keys[name] for name in _SEARCHED if keys.get(name) is not None}
        for name, value in {**searched, **properties}.items():
            metrics.add_metadata(key=name, value=value)
    for name, value in dimensions.items():
        metrics.add_dimension(name=name, value=value)
    for metric, count in (dict.fromkeys(counts, 1) | dict(totals or {})).items():
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=count)
    for metric, duration in (seconds or {}).items():
        metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=duration)
    metrics.flush_metrics()
