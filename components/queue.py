"""An SQS queue with its dead-letter queue, its grants, and the function that it feeds."""

from typing import Final

import pulumi
import pulumi_aws as aws

from components import iam
from components.function import LambdaFunction
from components.iam import Grant
from components.settings.queue import QueueSettings

_DAY: Final = 24 * 60 * 60


class Queue(pulumi.ComponentResource):
    """A standard queue. A message that failed `max_receive_count` times goes to the dead-letter queue."""

    name: pulumi.Output[str]
    url: pulumi.Output[str]
    arn: pulumi.Output[str]
    dead_letter_name: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        settings: QueueSettings,
        max_receive_count: int = 5,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:messaging:Queue", name, None, opts)
        self._name = name
        self._settings = settings
        child = pulumi.ResourceOptions(parent=self)
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            # The maximum: an operator has this long to act.
            message_retention_seconds=14 * _DAY,
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        queue = aws.sqs.Queue(
            name,
            visibility_timeout_seconds=settings.visibility_seconds,
            # Long polling: fewer empty responses are billed.
            receive_wait_time_seconds=20,
            # Shorter than that of the dead letters, because a message keeps its age when it moves.
            message_retention_seconds=4 * _DAY,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": max_receive_count}
            ),
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        aws.sqs.RedriveAllowPolicy(
            f"{name}-dead-letters-sources",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
            ),
            opts=child,
        )
        if settings.require_tls:
            _deny_plain_http(name, queue, child)
            _deny_plain_http(f"{name}-dead-letters", dead_letters, child)
        self.name = queue.name
        self.url = queue.url
        self.arn = queue.arn
        self.dead_letter_name = dead_letters.name
        self.dead_letter_url = dead_letters.url
        self.register_outputs({"url": self.url, "arn": self.arn, "deadLetterUrl": self.dead_letter_url})

    def grant_send(self) -> Grant:
        """Returns the permission to send messages."""
        return Grant(purpose=f"sends-to-{self._name}", actions=["sqs:SendMessage"], resources=[self.arn])

    def grant_receive(self) -> Grant:
        """Returns the permission to receive and delete messages, which Lambda uses for its function."""
        return Grant(
            purpose=f"receives-from-{self._name}",
            actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
            resources=[self.arn],
        )

    def grant_metrics(self) -> Grant:
        """Returns the permission to read the queue's metrics."""
        return Grant(
            purpose=f"reads-metrics-of-{self._name}",
            actions=["cloudwatch:GetMetricStatistics"],
            # CloudWatch has no ARNs for metrics: this allows reading all of them.
            resources=["*"],
        )

    def feeds(self, function: LambdaFunction, *, batch_size: int = 10) -> None:
        """Delivers the messages to the function, which returns the messages of a batch that failed.

        The function needs `grant_receive`. Raises ValueError for a function whose timeout is longer than the
        settings say.
        """
        longest = self._settings.consumer_timeout_seconds
        if function.timeout > longest:
            raise ValueError(
                f"{function.name} runs up to {function.timeout} s. Use at most {longest} s, for which "
                f"the queue {self._name} hides its messages."
            )
        aws.lambda_.EventSourceMapping(
            f"{self._name}-feeds-{function.name}",
            event_source_arn=self.arn,
            function_name=function.arn,
            batch_size=batch_size,
            maximum_batching_window_in_seconds=self._settings.consumer_batch_window_seconds or None,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(
                maximum_concurrency=self._settings.consumer_max_concurrency
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _deny_plain_http(name: str, queue: aws.sqs.Queue, opts: pulumi.ResourceOptions) -> None:
    """Denies every call without TLS, from every caller."""
    aws.sqs.QueuePolicy(
        f"{name}-tls-only",
        queue_url=queue.url,
        policy=iam.policy(
            {
                "Sid": "RefusePlainText",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "sqs:*",
                "Resource": queue.arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ),
        opts=opts,
    )
