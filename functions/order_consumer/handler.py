"""The consumer of the orders queue: each message starts the workflow of one attempt of one order."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from functions.shared import aws, deadline
from functions.shared.domain.errors import InvalidInput
from functions.shared.environment import required
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.observability import logger
from functions.shared.order_queue import OrderMessage

_step_functions = aws.client("stepfunctions")
_state_machine_arn = required("STATE_MACHINE_ARN")


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> Any:
    """Starts an execution per message. Returns the messages that failed (ReportBatchItemFailures)."""
    deadline.start(context)
    failures = []
    for record in event["Records"]:
        try:
            _start(record["messageId"], record["body"])
        except Exception:  # noqa: BLE001  logged already
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def _start(message_id: str, body: str) -> None:
    try:
        message = decode_json(body, OrderMessage)
    except MalformedJson as error:
        # It fails again at every delivery, until SQS moves it to the dead-letter queue.
        logger.error("not an order message", message_id=message_id, reason=str(error))
        raise InvalidInput(f"not an order message: {error}") from error
    with logger.append_context_keys(
        order_id=message.order_id, attempt=message.attempt, correlation_id=message.correlation_id
    ):
        try:
            outcome = start_execution(message, body)
        except Exception:
            logger.exception("execution not started", message_id=message_id)
            raise
        logger.info(outcome, message_id=message_id)


def start_execution(message: OrderMessage, body: str) -> str:
    """Starts the workflow for one attempt of an order. A second start of the same attempt succeeds.

    Returns a log message. Raises botocore's errors, after which a redelivery is safe.
    """
    try:
        _step_functions.start_execution(
            stateMachineArn=_state_machine_arn, name=message.execution_name, input=body
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        return "execution was started before"
    return "execution started"
