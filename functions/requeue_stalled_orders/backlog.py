"""The backlog of the orders queue."""

from __future__ import annotations

from typing import Any

from functions.shared import clock

# CloudWatch gets the queue's metrics once a minute, sometimes late.
_LOOK_BACK_MINUTES = 10


class Backlog:
    """The backlog of the orders queue."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_name = queue_url.rsplit("/", 1)[1]

    def age(self, at: str) -> float:
        """Returns the age in seconds of the oldest waiting message, or 0 without a value.

        It is a metric only, not an attribute of the queue. A queue that was idle for long has no value.
        Raises botocore's errors.
        """
        answer = self._client.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": self._queue_name}],
            StartTime=clock.minutes_before(at, _LOOK_BACK_MINUTES),
            EndTime=at,
            Period=60,
            Statistics=["Maximum"],
        )
        latest = max(answer["Datapoints"], key=lambda point: point["Timestamp"], default=None)
        return float(latest["Maximum"]) if latest else 0.0
