"""The requeue while the queue has a backlog."""

from __future__ import annotations

from functions.requeue_stalled_orders.backlog import Backlog
from functions.shared import aws
from local.memory.backend import OUTPUTS, MemoryBackend
from local.memory.faults import CallRecorder
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


def test_no_order_is_requeued_while_the_oldest_message_is_too_old(backend: MemoryBackend) -> None:
    order_id = stalled_order(backend)
    backend.measure_oldest_message(20, minutes_ago=5)
    backend.measure_oldest_message(600, minutes_ago=1)
    assert requeue() == {"skipped": True}
    assert backend.stored_order(order_id)["attempt"] == 1
    assert backend.take_messages() == []


def test_an_order_is_requeued_once_the_backlog_is_processed(backend: MemoryBackend) -> None:
    stalled_order(backend)
    backend.measure_oldest_message(3000, minutes_ago=5)
    backend.measure_oldest_message(20, minutes_ago=1)
    assert requeue() == {"requeued": 1, "complete": True}


def test_the_maximum_of_each_of_the_last_ten_minutes_is_read(backend: MemoryBackend) -> None:
    recorder = CallRecorder()
    with backend.hooked(recorder):
        assert (
            Backlog(aws.client("cloudwatch"), str(OUTPUTS["queueUrl"])).age("2026-06-01T00:20:00.000Z") == 0
        )
    (call,) = recorder.calls
    assert call.parameters == {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
        "StartTime": "2026-06-01T00:10:00.000Z",
        "EndTime": "2026-06-01T00:20:00.000Z",
        "Period": 60,
        "Statistics": ["Maximum"],
    }
