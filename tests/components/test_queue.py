"""The orders queue, its dead letters and its consumer."""

import json
from pathlib import Path

import pytest

from local.engine.program import ProgramError
from local.engine.stacks import declare_test_stack
from policy.resources import statements
from tests.components.recorded import (
    FUNCTION,
    QUEUE,
    STACKS,
    depends_on,
    recorded_program,
)

each_stack = pytest.mark.parametrize("stack", STACKS)


@each_stack
def test_a_message_stays_hidden_six_times_as_long_as_its_consumer_may_run(stack: str) -> None:
    run = declare_test_stack(stack)
    consumer = run.get(FUNCTION, "order_consumer")
    assert run.get(QUEUE, "orders").inputs["visibilityTimeoutSeconds"] >= 6 * consumer.inputs["timeout"]


def test_a_message_stays_hidden_longer_by_the_time_for_which_lambda_gathers_a_batch() -> None:
    mapping = "aws:lambda/eventSourceMapping:EventSourceMapping"
    at_once, gathering = (declare_test_stack(consumerBatchWindowSeconds=seconds) for seconds in (0, 20))
    hidden = [run.get(QUEUE, "orders").inputs["visibilityTimeoutSeconds"] for run in (at_once, gathering)]

    assert hidden[1] == hidden[0] + 20
    assert "maximumBatchingWindowInSeconds" not in at_once.of_type(mapping)[0].inputs
    assert gathering.of_type(mapping)[0].inputs["maximumBatchingWindowInSeconds"] == 20


@each_stack
def test_a_message_that_fails_five_times_goes_to_the_dead_letters_of_this_queue_only(stack: str) -> None:
    run = declare_test_stack(stack)
    queue, dead_letters = run.get(QUEUE, "orders"), run.get(QUEUE, "orders-dead-letters")
    assert json.loads(queue.inputs["redrivePolicy"]) == {
        "deadLetterTargetArn": dead_letters.outputs["arn"],
        "maxReceiveCount": 5,
    }
    (allowed,) = run.of_type("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
    assert allowed.inputs["queueUrl"] == dead_letters.outputs["url"]
    assert json.loads(allowed.inputs["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [queue.outputs["arn"]],
    }


@each_stack
def test_dead_letters_are_kept_longer_than_messages(stack: str) -> None:
    run = declare_test_stack(stack)
    kept = {queue.name: queue.inputs["messageRetentionSeconds"] for queue in run.of_type(QUEUE)}
    assert kept["orders-dead-letters"] == 14 * 86400
    assert kept["orders"] < kept["orders-dead-letters"]


@each_stack
def test_queues_are_encrypted_use_long_polling_and_refuse_plain_http(stack: str) -> None:
    run = declare_test_stack(stack)
    assert all(queue.inputs["sqsManagedSseEnabled"] is True for queue in run.of_type(QUEUE))
    assert run.get(QUEUE, "orders").inputs["receiveWaitTimeSeconds"] == 20
    policies = run.of_type("aws:sqs/queuePolicy:QueuePolicy")
    assert {policy.inputs["queueUrl"] for policy in policies} == {
        queue.outputs["url"] for queue in run.of_type(QUEUE)
    }
    for policy in policies:
        (statement,) = statements(policy.inputs["policy"])
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@each_stack
def test_the_consumer_gets_batches_of_ten_and_reports_failed_messages(stack: str) -> None:
    run = declare_test_stack(stack)
    (mapping,) = run.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert mapping.inputs["eventSourceArn"] == run.get(QUEUE, "orders").outputs["arn"]
    assert mapping.inputs["functionName"] == run.get(FUNCTION, "order_consumer").outputs["arn"]
    assert mapping.inputs["batchSize"] == 10
    assert mapping.inputs["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping.inputs["scalingConfig"] == {"maximumConcurrency": {"dev": 10, "prod": 50}[stack]}


@each_stack
def test_no_message_is_delivered_before_the_consumer_has_its_permissions(stack: str) -> None:
    run = declare_test_stack(stack)
    (mapping,) = run.of_type("aws:lambda/eventSourceMapping:EventSourceMapping")
    for policy in run.of_type("aws:iam/rolePolicy:RolePolicy"):
        if policy.name.startswith("order_consumer-"):
            assert depends_on(run, mapping, policy)


def test_a_queue_refuses_a_consumer_with_a_higher_timeout_than_declared(tmp_path: Path) -> None:
    with pytest.raises(
        ProgramError, match=r"service_api runs up to 11 s\. Use at most 10 s, for which the queue jobs"
    ):
        recorded_program(
            tmp_path,
            """
from components.function import LambdaFunction
from components.layer import DependencyLayer
from components.queue import Queue
from components.settings.functions import FunctionSettings
from components.settings.queue import QueueSettings

settings = FunctionSettings(
    memory_mb=128, log_level="INFO", system_log_level="WARN", log_retention_days=1, reserved_concurrency={}
)
layer = DependencyLayer("dependencies")
worker = LambdaFunction("service_api", timeout=11, environment={}, layer=layer, settings=settings)
queue = QueueSettings(
    consumer_timeout_seconds=10, consumer_batch_window_seconds=0, consumer_max_concurrency=2, require_tls=True
)
Queue("jobs", settings=queue).feeds(worker)
""",
        )
