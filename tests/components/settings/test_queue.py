"""Settings of the queue and its consumer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.engine.stacks import declare_test_stack
from tests.components.recorded import FUNCTION, QUEUE
from tests.components.settings.reading import mistake, read

MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"consumerMaxConcurrency": 1},
        "consumerMaxConcurrency: 1 is not allowed. Use a whole number from 2 to 1000.",
    ),
    (
        {"consumerMaxConcurrency": 1001},
        "consumerMaxConcurrency: 1001 is not allowed. Use a whole number from 2 to 1000.",
    ),
    (
        {"reservedConcurrency": {"order_consumer": 9}},
        "reservedConcurrency.order_consumer: 9 is too low. Use at least consumerMaxConcurrency, 10.",
    ),
    (
        {"consumerTimeoutSeconds": 5},
        "consumerTimeoutSeconds: 5 is not allowed. Use a whole number from 6 to 900.",
    ),
    (
        {"consumerTimeoutSeconds": 20, "stalledAfterMinutes": 6},
        "consumerTimeoutSeconds: 20 is too high. Use at most 19 with stalledAfterMinutes 6.",
    ),
    (
        {"consumerTimeoutSeconds": 900},
        "consumerTimeoutSeconds: 900 is too high. Use at most 33 with stalledAfterMinutes 10.",
    ),
    (
        {"consumerBatchWindowSeconds": 301},
        "consumerBatchWindowSeconds: 301 is not allowed. Use a whole number from 0 to 300.",
    ),
    (
        {"consumerBatchWindowSeconds": 140},
        "consumerBatchWindowSeconds: 140 is too high. Use at most 139 with consumerTimeoutSeconds 10 and "
        "stalledAfterMinutes 10.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


def test_the_highest_consumer_timeout_depends_on_the_time_until_an_order_is_stalled() -> None:
    assert read(consumerTimeoutSeconds=33).queue.consumer_timeout_seconds == 33
    settings = read(consumerTimeoutSeconds=900, stalledAfterMinutes=271)
    assert settings.queue.consumer_timeout_seconds == 900


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_failing_message_is_excluded_from_the_queues_age_before_its_order_is_stalled(stack: str) -> None:
    """SQS excludes messages that were received three times from the age of the oldest message.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    run = declare_test_stack(stack)
    queue = run.get(QUEUE, "orders").inputs
    environment = run.get(FUNCTION, "requeue_stalled_orders").inputs["environment"]["variables"]
    hidden = queue["visibilityTimeoutSeconds"]
    assert hidden == 6 * run.get(FUNCTION, "order_consumer").inputs["timeout"]
    assert json.loads(queue["redrivePolicy"])["maxReceiveCount"] >= 3
    assert 3 * hidden < 60 * int(environment["STALLED_AFTER_MINUTES"])
