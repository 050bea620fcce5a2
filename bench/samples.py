"""The inputs of measured functions: environment, one event per function, and stored items.

The order has two lines, as in the budgets of `docs/cost.md`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local.memory import functions as memory_functions
from local.memory.functions import ACCOUNT, REGION

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]

# As in the tests: a function reads its environment once per process, and one run may include both.
ENVIRONMENT: Final[Mapping[str, str]] = {
    **memory_functions.ENVIRONMENT,
    "AWS_REGION": REGION,
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}

_USER: Final = "6f2c1a52-6f0e-4b57-9a37-2f1f0c0f4a11"
_PRODUCTS: Final = ("0b8f9f0a-4b7e-4f0c-8f57-8a2b3f5e6d71", "c2d7a7de-7d3b-4c39-9a55-0d2a0f6f5b92")
_ORDER: Final = "3c9a6d5e-2f71-4f43-8f0b-6a1d2e3f4c55"
_AT: Final = "2026-01-31T08:00:00.000Z"
_REQUEST: Final = "7d0e3c1b-91fb-4a12-b7a6-5a3a1c9b2d44"

NEW_ORDER: Final = {
    "userId": _USER,
    "items": [{"productId": product, "quantity": 2} for product in _PRODUCTS],
}

USER_ITEM: Final = {
    "userId": {"S": _USER},
    "name": {"S": "Ada Lovelace"},
    "email": {"S": "ada@example.com"},
    "version": {"N": "1"},
    "createdAt": {"S": _AT},
    "updatedAt": {"S": _AT},
}
PRODUCT_ITEM: Final = {
    "productId": {"S": _PRODUCTS[0]},
    "title": {"S": "Desk lamp, brass"},
    "price": {"N": "1999"},
    "currency": {"S": "EUR"},
    "stock": {"N": "100"},
    "version": {"N": "1"},
    "createdAt": {"S": _AT},
    "updatedAt": {"S": _AT},
}
BASKET_ITEM: Final = {
    "userId": {"S": _USER},
    "basketId": {"S": _ORDER},
    "quantities": {"M": {product: {"N": "2"} for product in _PRODUCTS}},
    "added": {"M": {product: {"N": str(number)} for number, product in enumerate(_PRODUCTS)}},
    "version": {"N": "2"},
    "updatedAt": {"S": _AT},
    "expiresAt": {"N": "4102444800"},
}
ORDER_ITEM: Final = {
    "orderId": {"S": _ORDER},
    "userId": {"S": _USER},
    "items": {
        "L": [{"M": {"productId": {"S": product}, "quantity": {"N": "2"}}} for product in _PRODUCTS],
    },
    "status": {"S": "PENDING"},
    "history": {"L": [{"M": {"status": {"S": "PENDING"}, "at": {"S": _AT}}}]},
    "attempt": {"N": "1"},
    "createdAt": {"S": _AT},
    "updatedAt": {"S": _AT},
    "openShard": {"S": "0"},
    "dueAt": {"S": _AT},
}
# Another order, which was shipped in one parcel.
SHIPPED_ORDER_ITEM: Final[Mapping[str, Any]] = {
    **ORDER_ITEM,
    "orderId": {"S": "8d1f0c77-51f7-4f0e-9a6e-2d4b7c1e9f10"},
    "status": {"S": "FULFILLED"},
    "reservation": {"M": {"state": {"S": "HELD"}, "attempt": {"N": "1"}}},
    "shipments": {"L": [{"M": {"shipmentId": {"S": "S-1"}, "shippedAt": {"S": _AT}}}]},
}


def request(method: str, path: str, body: object = None) -> dict[str, Any]:
    """Returns a request as API Gateway passes it to a function (REST API, Lambda proxy integration)."""
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Host": f"abcdefghij.execute-api.{REGION}.amazonaws.com",
        "User-Agent": "shop/1.0",
        "X-Amzn-Trace-Id": "Root=1-697db880-0123456789abcdef01234567",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "resourceId": "abc123",
            "resourcePath": path,
            "httpMethod": method,
            "path": f"/v1{path}",
            "accountId": ACCOUNT,
            "protocol": "HTTP/1.1",
            "stage": "v1",
            "domainName": f"abcdefghij.execute-api.{REGION}.amazonaws.com",
            "requestId": _REQUEST,
            "requestTimeEpoch": 1769846400000,
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "shop/1.0"},
            "apiId": "abcdefghij",
        },
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def task(**more: object) -> dict[str, Any]:
    """Returns the input of a task of the state machine."""
    return {"orderId": _ORDER, "attempt": 1, "correlationId": _REQUEST, **more}


def queue_batch(messages: int) -> dict[str, Any]:
    """Returns a batch of the event source mapping."""
    return {
        "Records": [
            {
                "messageId": f"00000000-0000-0000-0000-{number:012}",
                "receiptHandle": "handle",
                "body": json.dumps({"orderId": _ORDER, "attempt": 1, "correlationId": _REQUEST}),
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1769846400000",
                    "SenderId": "sender",
                    "ApproximateFirstReceiveTimestamp": "1769846400001",
                },
                "messageAttributes": {},
                "md5OfBody": "0" * 32,
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders",
                "awsRegion": REGION,
            }
            for number in range(messages)
        ]
    }


EVENTS: Final[Mapping[str, dict[str, Any]]] = {
    "bench.plain": request("POST", "/orders", NEW_ORDER),
    "functions.orders_api": request("POST", "/orders", NEW_ORDER),
    "functions.users_api": request("POST", "/users", {"name": "Ada Lovelace", "email": "ada@example.com"}),
    "functions.products_api": request("POST", "/products", {"title": "Desk lamp", "price": 1999, "stock": 3}),
    "functions.baskets_api": request("GET", f"/users/{_USER}/basket"),
    "functions.reports_api": request(
        "PUT",
        f"/orders/{SHIPPED_ORDER_ITEM['orderId']['S']}/returns/R-1",
        {"status": "REQUESTED", "lines": [{"productId": _PRODUCTS[0], "quantity": 1}]},
    ),
    "functions.service_api": request("GET", "/"),
    "functions.order_consumer": queue_batch(1),
    "functions.validate_order": task(),
    "functions.fulfill_order": task(
        pricing={
            "items": [{"productId": product, "quantity": 2} for product in _PRODUCTS],
            "total": 2,
            "currency": "EUR",
        }
    ),
    "functions.release_order": task(),
    "functions.update_order_status": task(
        status="FULFILLED",
        fulfillment={"status": "FULFILLED", "shipment": {"shipmentId": f"shipment-{_ORDER}"}},
    ),
    "functions.requeue_stalled_orders": {},
}
"""Measured package -> event for its `handler.lambda_handler`."""


def function_packages() -> list[str]:
    """Returns the packages of all functions: the folders with a handler."""
    return sorted(
        f"functions.{handler.parent.name}" for handler in PROJECT_ROOT.glob("functions/*/handler.py")
    )
