"""Calls the functions' handlers as Lambda and API Gateway do, in this process."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's account
_CONTRACT = Path(__file__).parents[2] / "docs" / "openapi.json"

# The environment of every function. On AWS the program sets it per function.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "orderflow",
    "USERS_TABLE": "users",
    "PRODUCTS_TABLE": "products",
    "ORDERS_TABLE": "orders",
    "BASKETS_TABLE": "baskets",
    "REQUESTS_TABLE": "requests",
    "EMAILS_TABLE": "emails",
    "BASKET_DAYS": "30",
    "ORDERS_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/orders",
    "EVENT_BUS_NAME": "orderflow",
    "CORS_ORIGINS": "*",
    "DEFAULT_CURRENCY": "EUR",
    "STACK_NAME": "test",
    "SERVICE_VERSION": "0123456789ab",
    "WORKFLOW_TYPE": "STANDARD",
    "STALLED_AFTER_MINUTES": "10",
    "MAX_ATTEMPTS": "3",
    "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:order_fulfillment",
}


@dataclass(frozen=True, kw_only=True)
class LambdaContext:
    """The context that Lambda passes to a handler: only the attributes that are used."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function"
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"
    remaining_time_in_millis: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Returns the milliseconds until the function's timeout."""
        return self.remaining_time_in_millis


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """A response of the API, with lower-case header names and a decoded body."""

    status: int
    headers: dict[str, str]
    body: Any


running_function: ContextVar[str | None] = ContextVar("running_function", default=None)
"""The function whose handler runs, or the state machine; `local.memory.iam` takes the caller from it."""


def handler_of(function: str) -> Callable[[Any, Any], Any]:
    """Returns the Lambda handler of a function, by the function's name."""
    handler = importlib.import_module(f"functions.{function}.handler").lambda_handler

    def handle(event: Any, context: Any) -> Any:
        token = running_function.set(function)
        try:
            return handler(event, context)
        finally:
            running_function.reset(token)

    return handle


def invoke(function: str, event: Any, context: Any = None) -> Any:
    """Invokes a function. Event and result pass through JSON, as in Lambda."""
    result = handler_of(function)(
        json.loads(json.dumps(event)), context or LambdaContext(function_name=function)
    )
    return json.loads(json.dumps(result))


def invoke_task(function: str, order_id: str, attempt: int = 1, **payload: object) -> Any:
    """Invokes a task of the workflow for an attempt of an order."""
    return invoke(function, {"orderId": order_id, "attempt": attempt, "correlationId": "cid-1", **payload})


def _function_of(path: str) -> str:
    if path.startswith("/users/") and path.rstrip("/").endswith("/orders"):
        return "orders_api"
    if "/basket" in path:
        return "orders_api" if path.endswith("/checkout") else "baskets_api"
    if re.search(r"^/orders/[^/]+/(shipments|refusals|returns)/", path):
        return "reports_api"
    if path == "/quotes":
        return "products_api"
    resource = path.split("/")[1]
    return f"{resource}_api" if resource in {"users", "products", "orders"} else "service_api"


@cache
def _lists_of_values() -> dict[str, frozenset[str]]:
    """Returns the values that the contract lists, by the field that has one of them."""
    schemas = json.loads(_CONTRACT.read_text("utf-8"))["components"]["schemas"]
    lists = {"code": "ProblemCode", "rejectionCode": "RejectionCode"}
    return {name: frozenset(schemas[schema]["x-extensible-enum"]) for name, schema in lists.items()}


def _check_values(body: Any) -> None:
    """Raises AssertionError if a response of any test has a code that the contract does not list."""
    if isinstance(body, dict):
        for name, values in _lists_of_values().items():
            assert body.get(name) in {None, *values}, f"{name}: {body[name]} is not in the contract"


@dataclass(frozen=True)
class ApiClient:
    """Sends requests to the functions as API Gateway does (REST API, Lambda proxy integration)."""

    request_id: str = field(default="request-1")
    api_key_id: str = field(default="client-1")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Sends one request. A body that is not a string is encoded as JSON."""
        raw = body if body is None or isinstance(body, str) else json.dumps(body)
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": {"Content-Type": "application/json", **(headers or {})},
            "multiValueHeaders": None,
            "queryStringParameters": dict(query) if query else None,
            "multiValueQueryStringParameters": {key: [value] for key, value in query.items()}
            if query
            else None,
            "pathParameters": None,
            "stageVariables": None,
            "body": raw,
            "isBase64Encoded": False,
            "requestContext": {
                "requestId": self.request_id,
                "identity": {"apiKeyId": self.api_key_id},
                "stage": "v1",
                "path": f"/v1{path}",
                "httpMethod": method,
                "resourcePath": path,
            },
        }
        answer = invoke(_function_of(path), event)
        headers = {name.lower(): values[-1] for name, values in answer["multiValueHeaders"].items()}
        is_json = "json" in headers.get("content-type", "json")
        decoded = (json.loads(answer["body"]) if is_json else answer["body"]) if answer["body"] else None
        _check_values(decoded)
        return HttpAnswer(status=answer["statusCode"], headers=headers, body=decoded)

    def get(self, path: str, **kwargs: Any) -> HttpAnswer:
        """Sends a GET request."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, body: object = None, **kwargs: Any) -> HttpAnswer:
        """Sends a POST request."""
        return self.request("POST", path, body, **kwargs)

    def patch(self, path: str, body: object, **kwargs: Any) -> HttpAnswer:
        """Sends a PATCH request."""
        return self.request("PATCH", path, body, **kwargs)

    def put(self, path: str, body: object = None, **kwargs: Any) -> HttpAnswer:
        """Sends a PUT request."""
        return self.request("PUT", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> HttpAnswer:
        """Sends a DELETE request."""
        return self.request("DELETE", path, **kwargs)
