"""The world in which the functions' tests run: moto's AWS, a client of the API, and the workflow's tasks."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

REGION = "eu-central-1"
ACCOUNT = "123456789012"  # moto's account

# The names under which the tables are made here; in AWS the program tells the functions theirs.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_METRICS_NAMESPACE": "orderflow",
    "USERS_TABLE": "users",
    "PRODUCTS_TABLE": "products",
    "ORDERS_TABLE": "orders",
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
    """What AWS hands to a handler beside the event, as far as it is used."""

    function_name: str = "function"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function"
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"
    remaining_time_in_millis: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout."""
        return self.remaining_time_in_millis


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """An answer of the API: status, headers by lower-case name, and the decoded body."""

    status: int
    headers: dict[str, str]
    body: Any


running_function: ContextVar[str | None] = ContextVar("running_function", default=None)
"""The name of the function whose handler runs, for what stands in for AWS and asks who calls."""


def handler_of(function: str) -> Callable[[Any, Any], Any]:
    """The Lambda handler of a function, by the function's name."""
    handler = importlib.import_module(f"functions.{function}.handler").lambda_handler

    def handle(event: Any, context: Any) -> Any:
        token = running_function.set(function)
        try:
            return handler(event, context)
        finally:
            running_function.reset(token)

    return handle


def invoke(function: str, event: Any) -> Any:
    """Invoke a function, and answer what it answers as JSON would carry it."""
    return json.loads(json.dumps(handler_of(function)(event, LambdaContext())))


def invoke_task(function: str, order_id: str, attempt: int = 1, **payload: object) -> Any:
    """Invoke a task of the workflow for an attempt of an order."""
    return invoke(function, {"orderId": order_id, "attempt": attempt, "correlationId": "cid-1", **payload})


def _function_of(path: str) -> str:
    if path.startswith("/users/") and path.endswith("/orders"):
        return "orders_api"
    resource = path.split("/")[1]
    return f"{resource}_api" if resource in {"users", "products", "orders"} else "service_api"


@dataclass(frozen=True)
class ApiClient:
    """Sends requests to the functions as API Gateway does (REST API, Lambda proxy integration)."""

    request_id: str = field(default="request-1")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send one request; a body that is no string is sent as JSON."""
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
                "stage": "v1",
                "path": f"/v1{path}",
                "httpMethod": method,
                "resourcePath": path,
            },
        }
        answer = invoke(_function_of(path), event)
        return HttpAnswer(
            status=answer["statusCode"],
            headers={name.lower(): values[-1] for name, values in answer["multiValueHeaders"].items()},
            body=json.loads(answer["body"]) if answer["body"] else None,
        )

    def get(self, path: str, **kwargs: Any) -> HttpAnswer:
        """GET."""
        return self.request("GET", path, **kwargs)

    def post(self, path: str, body: object = None, **kwargs: Any) -> HttpAnswer:
        """POST."""
        return self.request("POST", path, body, **kwargs)

    def patch(self, path: str, body: object, **kwargs: Any) -> HttpAnswer:
        """PATCH."""
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> HttpAnswer:
        """DELETE."""
        return self.request("DELETE", path, **kwargs)


@dataclass(frozen=True)
class World:
    """The API, with the AWS behind it."""

    api: ApiClient
    dynamodb: Any
    sqs: Any
    events_queue_url: str

    def user(self) -> str:
        """The id of a new user."""
        answer = self.api.post("/users", {"name": "Ada", "email": "ada@example.com"})
        return str(answer.body["userId"])

    def product(self, *, price: int = 1999, stock: int = 10, **fields: object) -> str:
        """The id of a new product."""
        answer = self.api.post("/products", {"title": "Lamp", "price": price, "stock": stock, **fields})
        return str(answer.body["productId"])

    def order(self, user_id: str, quantities: Mapping[str, int], **kwargs: Any) -> str:
        """The id of a new order of these products."""
        items = [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]
        return str(self.api.post("/orders", {"userId": user_id, "items": items}, **kwargs).body["orderId"])

    def validated_order(self, quantities: Mapping[str, int]) -> str:
        """The id of a new order that has been validated."""
        order_id = self.order(self.user(), quantities)
        pricing = invoke_task("validate_order", order_id)
        invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)
        return order_id

    def reserve(self, order_id: str, attempt: int = 1) -> Any:
        """Run FulfillOrder for an order."""
        lines = self.stored_order(order_id)["items"]
        return invoke_task("fulfill_order", order_id, attempt, items=lines)

    def stored_order(self, order_id: str) -> Any:
        """An order as it stands in the table."""
        from functions.shared.persistence.dynamodb import from_item

        return from_item(self.dynamodb.get_item(TableName="orders", Key={"orderId": {"S": order_id}})["Item"])

    def stock(self, product_id: str) -> int:
        """A product's stock on hand."""
        item = self.dynamodb.get_item(TableName="products", Key={"productId": {"S": product_id}})["Item"]
        return int(item["stock"]["N"])

    def set_order(self, order_id: str, **attributes: object) -> None:
        """Overwrite attributes of a stored order, to put it into a state that is hard to reach otherwise."""
        from functions.shared.persistence.dynamodb import UpdateExpression

        update = UpdateExpression()
        for name, value in attributes.items():
            update.set(name, value)
        self.dynamodb.update_item(TableName="orders", Key={"orderId": {"S": order_id}}, **update.parameters())

    def messages(self) -> list[Any]:
        """All messages that wait on the orders queue; they stay there no longer."""
        return [json.loads(body) for body in self._receive(ENVIRONMENT["ORDERS_QUEUE_URL"])]

    def events(self) -> list[Any]:
        """All events that came over the bus since the last call, oldest first."""
        return [json.loads(body) for body in self._receive(self.events_queue_url)]

    def _receive(self, url: str) -> list[str]:
        bodies: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return bodies
