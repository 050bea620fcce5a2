"""AWS's list prices in us-east-1, in USD, without free tiers.

Date: 2026-11-22. They come from published copies and summaries of the named pages, not from the pages.
DynamoDB's on-demand prices are those since 2024-11-01.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

DATE: Final = "2026-11-22"
REGION: Final = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of one kind of unit, in tiers by the month's amount."""

    what: str
    unit: str
    per: float  # the number of units that a tier's price is for
    tiers: Sequence[tuple[float, float]]  # upper limit in units per month, USD per `per` units
    source: str

    def of(self, amount: float) -> float:
        """Returns the USD for an amount in one month."""
        total, lower = 0.0, 0.0
        for upper, price in self.tiers:
            total += max(min(amount, upper) - lower, 0.0) * price / self.per
            lower = upper
        return total


_ALL: Final = float("inf")


def _flat(what: str, unit: str, per: float, price: float, source: str) -> Price:
    return Price(what=what, unit=unit, per=per, tiers=((_ALL, price),), source=source)


_M: Final = 1e6
_API: Final = "https://aws.amazon.com/api-gateway/pricing/"
_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_SQS: Final = "https://aws.amazon.com/sqs/pricing/"
_DYNAMODB: Final = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_STATES: Final = "https://aws.amazon.com/step-functions/pricing/"
_EVENTS: Final = "https://aws.amazon.com/eventbridge/pricing/"
_WATCH: Final = "https://aws.amazon.com/cloudwatch/pricing/"
_XRAY: Final = "https://aws.amazon.com/xray/pricing/"

PRICES: Final[Mapping[str, Price]] = {
    "apiRequests": Price(
        what="REST API requests",
        unit="million",
        per=_M,
        tiers=((333e6, 3.50), (1_000e6, 2.80), (20_000e6, 2.38), (_ALL, 1.51)),
        source=_API,
    ),
    "invocations": _flat("Lambda requests", "million", _M, 0.20, _LAMBDA),
    "gbSeconds": Price(
        what="Lambda duration, arm64",
        unit="GB-second",
        per=1,
        tiers=((7.5e9, 0.0000133334), (18.75e9, 0.0000120001), (_ALL, 0.0000106667)),
        source=_LAMBDA,
    ),
    "snapshotGbSeconds": _flat("Lambda SnapStart, cached snapshot", "GB-second", 1, 0.0000015046, _LAMBDA),
    "restoredGb": _flat("Lambda SnapStart, restored snapshot", "GB", 1, 0.0001397998, _LAMBDA),
    "provisionedGbSeconds": _flat(
        "Lambda provisioned concurrency, arm64", "GB-second", 1, 0.0000033334, _LAMBDA
    ),
    "gbSecondsOfProvisioned": _flat(
        "Lambda duration with provisioned concurrency, arm64", "GB-second", 1, 0.0000077778, _LAMBDA
    ),
    "queueRequests": _flat("SQS standard queue requests", "million", _M, 0.40, _SQS),
    "writeUnits": _flat("DynamoDB on-demand write units", "million", _M, 0.625, _DYNAMODB),
    "readUnits": _flat("DynamoDB on-demand read units", "million", _M, 0.125, _DYNAMODB),
    "events": _flat("EventBridge custom events", "million", _M, 1.00, _EVENTS),
    "transitions": _flat("Step Functions STANDARD transitions", "million", _M, 25.00, _STATES),
    "expressRequests": _flat("Step Functions EXPRESS requests", "million", _M, 1.00, _STATES),
    "expressGbSeconds": Price(
        what="Step Functions EXPRESS duration",
        unit="GB-second",
        per=1,
        tiers=((3.6e6, 0.00001667), (18e6, 0.00000833), (_ALL, 0.00000456)),
        source=_STATES,
    ),
    "logBytes": _flat("CloudWatch Logs ingestion", "GB", 1e9, 0.50, _WATCH),
    "metrics": _flat("CloudWatch custom metrics", "metric and month", 1, 0.30, _WATCH),
    "alarms": _flat("CloudWatch alarms", "metric of an alarm and month", 1, 0.10, _WATCH),
    "dashboards": _flat("CloudWatch dashboards", "dashboard and month", 1, 3.00, _WATCH),
    "metricRequests": _flat("CloudWatch metric requests", "thousand", 1e3, 0.01, _WATCH),
    "traces": _flat("X-Ray traces recorded", "million", _M, 5.00, _XRAY),
    "keys": _flat("KMS keys", "key and month", 1, 1.00, "https://aws.amazon.com/kms/pricing/"),
    "schedules": _flat("EventBridge Scheduler invocations", "million", _M, 1.00, _EVENTS),
}
