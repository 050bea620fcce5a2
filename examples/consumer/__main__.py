"""Receives orderflow's events: a rule on its bus, a queue, and a function that stores each order's status.

Another team deploys this project. It uses only the export `eventBusName` of orderflow, and `docs/events.md`.
"""

from pathlib import Path

import pulumi
import pulumi_aws as aws

# The events of moves. Others may be added to the bus at any time.
EVENTS = ["OrderValidated", "OrderFulfilled", "OrderRejected", "OrderCancelled", "OrderFailed"]
FUNCTION_SECONDS = 10
PROJECT = Path(__file__).resolve().parent

config = pulumi.Config()
tags = {"project": pulumi.get_project(), "stack": pulumi.get_stack()}
bus = pulumi.StackReference(config.require("orderflowStack")).require_output("eventBusName")


def policy(*statements: dict[str, pulumi.Input[object]]) -> pulumi.Output[str]:
    """Returns an IAM policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


# --- From the bus into a queue ---


def tls_only(queue: aws.sqs.Queue) -> dict[str, pulumi.Input[object]]:
    """Returns the statement of a queue's policy that denies plain HTTP."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue.arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


dead_letters = aws.sqs.Queue(
    "order_board-dead-letters", message_retention_seconds=14 * 86400, sqs_managed_sse_enabled=True, tags=tags
)
aws.sqs.QueuePolicy(
    "order_board-dead-letters", queue_url=dead_letters.id, policy=policy(tls_only(dead_letters))
)
queue = aws.sqs.Queue(
    "order_board",
    visibility_timeout_seconds=6 * FUNCTION_SECONDS,
    sqs_managed_sse_enabled=True,
    redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": 5}),
    tags=tags,
)
rule = aws.cloudwatch.EventRule(
    "order_board",
    event_bus_name=bus,
    event_pattern=pulumi.Output.json_dumps({"source": ["orderflow.orders"], "detail-type": EVENTS}),
    tags=tags,
)
aws.sqs.QueuePolicy(
    "order_board",
    queue_url=queue.id,
    policy=policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn}},
        },
        tls_only(queue),
    ),
)
aws.cloudwatch.EventTarget("order_board", rule=rule.name, event_bus_name=bus, arn=queue.arn)

# --- From the queue into a table ---

statuses = aws.dynamodb.Table(
    "statuses",
    billing_mode="PAY_PER_REQUEST",
    hash_key="orderId",
    attributes=[aws.dynamodb.TableAttributeArgs(name="orderId", type="S")],
    tags=tags,
)
role = aws.iam.Role(
    "order_board-role",
    description="Permissions of the function order_board",
    assume_role_policy=policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    ),
    tags=tags,
)
logs = aws.cloudwatch.LogGroup(
    "order_board-logs",
    name=f"/aws/lambda/{pulumi.get_project()}/{pulumi.get_stack()}/order_board",
    retention_in_days=config.require_int("logRetentionDays"),
    tags=tags,
)
permissions = aws.iam.RolePolicy(
    "order_board",
    role=role.name,
    policy=policy(
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": pulumi.Output.concat(logs.arn, ":*"),
        },
        {
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            "Resource": queue.arn,
        },
        {"Effect": "Allow", "Action": "dynamodb:UpdateItem", "Resource": statuses.arn},
    ),
)
function = aws.lambda_.Function(
    "order_board",
    runtime="python3.13",
    architectures=["arm64"],
    handler="order_board.handler.lambda_handler",
    code=pulumi.AssetArchive(
        {
            f"order_board/{path.name}": pulumi.FileAsset(f"order_board/{path.name}")
            for path in sorted((PROJECT / "order_board").glob("*.py"))
        }
    ),
    role=role.arn,
    timeout=FUNCTION_SECONDS,
    memory_size=128,
    environment=aws.lambda_.FunctionEnvironmentArgs(variables={"STATUSES_TABLE": statuses.name}),
    logging_config=aws.lambda_.FunctionLoggingConfigArgs(
        log_format="JSON", application_log_level="INFO", system_log_level="WARN", log_group=logs.name
    ),
    tags=tags,
    opts=pulumi.ResourceOptions(depends_on=[permissions]),
)
aws.lambda_.EventSourceMapping(
    "order_board",
    event_source_arn=queue.arn,
    function_name=function.arn,
    function_response_types=["ReportBatchItemFailures"],
    tags=tags,
)

pulumi.export("statusesTable", statuses.name)
pulumi.export("queueUrl", queue.url)
