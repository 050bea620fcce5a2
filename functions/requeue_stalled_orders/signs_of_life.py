"""Whether an order that waits for long is seen to after all: its message waits, or its execution runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.order_queue import OrderMessage

# CloudWatch gets the queue's metrics once a minute, and now and then late.
_LOOK_BACK_MINUTES = 10


class Backlog:
    """How far the consumer of the orders queue is behind."""

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._queue_name = queue_url.rsplit("/", 1)[1]

    def age(self, at: str) -> float:
        """The age in seconds of the oldest message that waits; 0 when nothing is known of any.

        SQS tells it to CloudWatch only: it is no attribute of the queue. It is not measured for a queue that
        was long idle. Raises botocore's errors.
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


class Executions:
    """The executions of a STANDARD state machine."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:
        self._client = client
        self._prefix = state_machine_arn.replace(":stateMachine:", ":execution:", 1)

    def is_running(self, message: OrderMessage) -> bool:
        """Whether the execution that this message asked for still runs. Raises botocore's errors."""
        try:
            answer = self._client.describe_execution(executionArn=f"{self._prefix}:{message.execution_name}")
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return False
            raise
        return bool(answer["status"] == "RUNNING")


IsRunning = Callable[[OrderMessage], bool]


def never_running(_message: OrderMessage) -> bool:
    """For EXPRESS machines, of whose executions AWS tells nothing: they end after five minutes at the latest,
    and an order is stalled after six at the earliest."""
    return False
