"""Stores the latest status of each order, from order events in an SQS queue.

Written from docs/events.md. Events arrive at least once and in any order. A write succeeds only if its event
is later than the stored one. So a repeat or an older event changes nothing, without a list of seen ids.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

logger = logging.getLogger()
logger.setLevel(logging.INFO)

VERSION = 1
_TABLE = os.environ["STATUSES_TABLE"]
_dynamodb = boto3.client(
    "dynamodb",
    config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}),
)


class UnknownVersion(Exception):
    """The event's version is not supported. Its message becomes a dead letter, and nothing is lost."""


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Handles a batch of messages. Returns those that failed, which SQS delivers again."""
    failed = []
    for record in event["Records"]:
        try:
            store(json.loads(record["body"])["detail"])
        except Exception:
            logger.exception("event not stored", extra={"messageId": record["messageId"]})
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def store(detail: dict[str, Any]) -> None:
    """Stores the status of an order, unless a later one is stored."""
    if detail["version"] != VERSION:
        raise UnknownVersion(f"version {detail['version']}, expected {VERSION}")
    try:
        _dynamodb.update_item(
            TableName=_TABLE,
            Key={"orderId": {"S": detail["orderId"]}},
            UpdateExpression="SET #status = :status, occurredAt = :at",
            ConditionExpression="attribute_not_exists(occurredAt) OR occurredAt < :at",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":status": {"S": detail["status"]},
                ":at": {"S": detail["occurredAt"]},
            },
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
