"""GET /billing/{userId}, for API Gateway (REST API, Lambda proxy integration).

Uses the boto3 of Lambda's Python runtime, without a layer.
"""

from __future__ import annotations

import json
import logging
import os
import re
from http import HTTPStatus
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .spend import InvalidToken, StoreBusy, spend_of

logger = logging.getLogger()
logger.setLevel(logging.INFO)

_TABLE = os.environ["ORDERS_TABLE"]
_dynamodb = boto3.client(
    "dynamodb",
    config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}),
)
_USER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Handles one request. Writes one log line."""
    request_id = event["requestContext"]["requestId"]
    status, body = _answer(event, request_id)
    logger.info("request", extra={"requestId": request_id, "status": status.value})
    return body


def _answer(event: dict[str, Any], request_id: str) -> tuple[HTTPStatus, dict[str, Any]]:
    user_id = (event.get("pathParameters") or {}).get("userId", "")
    token = (event.get("queryStringParameters") or {}).get("nextToken")
    if not _USER_ID.fullmatch(user_id):
        return _problem(HTTPStatus.NOT_FOUND, "not_found", "There is no such user.", request_id)
    try:
        spend = spend_of(_dynamodb, _TABLE, user_id, token)
    except InvalidToken:
        detail = "Invalid nextToken: expected the nextToken of an earlier response."
        return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", detail, request_id)
    except (StoreBusy, BotoCoreError, ClientError):
        logger.exception("DynamoDB call failed", extra={"requestId": request_id})
        detail = "The service is busy: try again in a moment."
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, request_id)
    body = {"userId": user_id, "orders": spend.orders, "totals": spend.totals}
    if spend.next_token:
        body["nextToken"] = spend.next_token
    return HTTPStatus.OK, _response(HTTPStatus.OK, "application/json", body)


def _problem(
    status: HTTPStatus, code: str, detail: str, request_id: str
) -> tuple[HTTPStatus, dict[str, Any]]:
    """Returns a problem document (RFC 9457), as all errors of the API."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": code,
        "detail": detail,
        "requestId": request_id,
    }
    return status, _response(status, "application/problem+json", body)


def _response(status: HTTPStatus, content_type: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status.value,
        "headers": {"Content-Type": content_type},
        "body": json.dumps(body),
    }
