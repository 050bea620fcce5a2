"""POST /orders with `json` and `boto3.client` only: no framework, no validation. Not part of the product.

It is the reference for all ratios of `python -m bench`. For a new order it makes the same AWS calls as
`functions/orders_api`: one conditional PutItem and one SendMessage.
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Stores the order, sends its message and returns 201."""
    body = json.loads(event["body"])
    order_id = str(uuid.uuid4())
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    dynamodb.put_item(
        TableName=os.environ["ORDERS_TABLE"],
        Item={
            "orderId": {"S": order_id},
            "userId": {"S": body["userId"]},
            "items": {
                "L": [
                    {
                        "M": {
                            "productId": {"S": line["productId"]},
                            "quantity": {"N": str(line["quantity"])},
                        }
                    }
                    for line in body["items"]
                ]
            },
            "status": {"S": "PENDING"},
            "history": {"L": [{"M": {"status": {"S": "PENDING"}, "at": {"S": at}}}]},
            "attempt": {"N": "1"},
            "openShard": {"S": "0"},
            "dueAt": {"S": at},
            "createdAt": {"S": at},
            "updatedAt": {"S": at},
        },
        ConditionExpression="attribute_not_exists(orderId)",
    )
    correlation_id = event["requestContext"]["requestId"]
    sqs.send_message(
        QueueUrl=os.environ["ORDERS_QUEUE_URL"],
        MessageBody=json.dumps({"orderId": order_id, "attempt": 1, "correlationId": correlation_id}),
    )
    order = {
        "orderId": order_id,
        "userId": body["userId"],
        "items": body["items"],
        "status": "PENDING",
        "history": [{"status": "PENDING", "at": at}],
        "createdAt": at,
        "updatedAt": at,
    }
    return {
        "statusCode": 201,
        "headers": {"Content-Type": "application/json", "Location": f"/v1/orders/{order_id}"},
        "body": json.dumps(order),
    }
