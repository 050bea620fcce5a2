"""A queue that is behind."""

from __future__ import annotations

import datetime

import boto3

from local.memory.functions import World
from tests.functions.requeue_stalled_orders.stalled import requeue, stalled_order


def measure_oldest_message(seconds: float, *, minutes_ago: int = 0) -> None:
    boto3.client("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
                "Timestamp": datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes_ago),
                "Value": seconds,
            }
        ],
    )


def test_an_order_that_waits_in_a_long_queue_is_left_alone(world: World) -> None:
    order_id = stalled_order(world)
    measure_oldest_message(20, minutes_ago=5)
    measure_oldest_message(601, minutes_ago=1)
    assert requeue() == {"skipped": True}
    assert world.stored_order(order_id)["attempt"] == 1
    assert world.messages() == []


def test_a_queue_that_has_caught_up_holds_nobody_back(world: World) -> None:
    stalled_order(world)
    measure_oldest_message(3000, minutes_ago=5)
    measure_oldest_message(20, minutes_ago=1)
    assert requeue() == {"requeued": 1, "complete": True}
