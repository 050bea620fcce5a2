"""The archives and the layer, as they are built, run under AWS's runtime client on Python 3.13."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from components.packaging import function_names
from local.aws.emulator import SECRET_ACCESS_KEY
from local.engine.stacks import declare_test_stack
from local.stack import RunningStack, running_stack
from tests.e2e.conftest import store_stalled_order
from tests.references.implementations import RUNTIME
from tests.references.lambda_runtime import Answer, Worker, build_layer, started

pytestmark = RUNTIME.required

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """The deployed stack, without event source mappings."""
    with running_stack() as running:
        client = running.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            client.delete_event_source_mapping(UUID=mapping["UUID"])
        yield running


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_layer(tmp_path_factory.mktemp("layer"))


def variables(stack: RunningStack, function: str, level: str) -> dict[str, str]:
    """A deployed function's environment variables, with the log settings that the program declares."""
    configured = stack.client("lambda").get_function_configuration(FunctionName=stack.functions[function])
    declared = declare_test_stack(logLevel=level).get("aws:lambda/function:Function", function).inputs
    return {
        **configured["Environment"]["Variables"],
        "POWERTOOLS_LOG_LEVEL": declared["environment"]["variables"]["POWERTOOLS_LOG_LEVEL"],
        "AWS_LAMBDA_LOG_FORMAT": declared["loggingConfig"]["logFormat"],
        "AWS_LAMBDA_LOG_LEVEL": declared["loggingConfig"]["applicationLogLevel"],
        "AWS_ACCESS_KEY_ID": stack.endpoint.access_key_id,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": stack.endpoint.region,
        "AWS_REGION": stack.endpoint.region,
        "AWS_ENDPOINT_URL": stack.endpoint.url,
    }


Start = Callable[..., Worker]


@pytest.fixture
def start(stack: RunningStack, layer: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a function's process."""
    with ExitStack() as workers:

        def start(function: str, level: str = "INFO") -> Worker:
            folder = tmp_path / function
            folder.mkdir()
            return workers.enter_context(started(function, variables(stack, function, level), layer, folder))

        yield start


def request(method: str, path: str, body: object = None) -> dict[str, Any]:
    """An event of API Gateway."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body, ensure_ascii=False),
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": "r",
            "stage": "v1",
            "path": f"/v1{path}",
            "httpMethod": method,
            "resourcePath": path,
        },
    }


def batch(body: str) -> dict[str, Any]:
    """An event of SQS."""
    return {"Records": [{"messageId": "m", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs"}]}


def task(order_id: str, **more: object) -> dict[str, Any]:
    """An event of the state machine."""
    return {"orderId": order_id, "attempt": 1, "correlationId": "cid", **more}


def created(answer: Answer) -> dict[str, Any]:
    """The body of a 201."""
    assert answer.error is None
    assert answer.result["statusCode"] == 201, answer.result
    body: dict[str, Any] = json.loads(answer.result["body"])
    return body


def test_the_functions_process_an_order_until_it_is_fulfilled(start: Start, stack: RunningStack) -> None:
    user = created(
        start("users_api").invoke(request("POST", "/users", {"name": "Zoë 💡", "email": "zoe@example.com"}))
    )
    assert user["name"] == "Zoë 💡"
    product = created(
        start("products_api").invoke(request("POST", "/products", {"title": "Lamp", "price": 5, "stock": 3}))
    )
    items = [{"productId": product["productId"], "quantity": 2}]
    order = created(
        start("orders_api").invoke(request("POST", "/orders", {"userId": user["userId"], "items": items}))
    )
    order_id = order["orderId"]
    pricing = start("validate_order").invoke(task(order_id)).result
    assert pricing["total"] == 10
    mark = start("update_order_status")
    validated = mark.invoke(task(order_id, status="VALIDATED", pricing=pricing))
    assert validated.result == {"orderId": order_id, "status": "VALIDATED"}
    fulfillment = start("fulfill_order").invoke(task(order_id, pricing=pricing)).result
    assert fulfillment["status"] == "FULFILLED"
    fulfilled = mark.invoke(task(order_id, status="FULFILLED", fulfillment=fulfillment))
    assert fulfilled.result == {"orderId": order_id, "status": "FULFILLED"}


def test_the_consumer_starts_an_execution(start: Start, stack: RunningStack) -> None:
    answer = start("order_consumer").invoke(batch(json.dumps(task("o-consumed"))))
    assert answer == Answer(result={"batchItemFailures": []})
    machine = stack.outputs["stateMachineArn"]
    executions = stack.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert [execution["name"] for execution in executions] == ["o-consumed-1"]


def test_the_requeue_requeues_a_stalled_order(start: Start, stack: RunningStack) -> None:
    store_stalled_order(stack, "o-stalled", "u", "p")
    answer = start("requeue_stalled_orders").invoke({})
    assert answer.error is None
    assert answer.result["complete"] is True
    assert answer.result["requeued"] == 1


def test_the_release_returns_nothing_for_an_order_without_a_reservation(
    start: Start, stack: RunningStack
) -> None:
    store_stalled_order(stack, "o-released", "u", "p")
    assert start("release_order").invoke(task("o-released")) == Answer()


def test_the_service_answers_with_the_document_in_its_archive(start: Start) -> None:
    answer = start("service_api").invoke(request("GET", "/openapi.json"))
    assert answer.result["statusCode"] == 200
    assert json.loads(answer.result["body"])["openapi"]


# A bad event of each function, and what it answers.
BAD_EVENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "users_api": (request("POST", "/users", {"name": 1}), {"statusCode": 422}),
    "products_api": (request("PATCH", "/products/none", {"stock": 1}), {"statusCode": 428}),
    "baskets_api": (request("PUT", "/users/none/basket/items/p", {"quantity": 0}), {"statusCode": 422}),
    "orders_api": (request("POST", "/orders", {"userId": 1}), {"statusCode": 422}),
    "reports_api": (request("PUT", "/orders/o/shipments/s", {}), {"statusCode": 401}),
    "service_api": (request("GET", "/none"), {"statusCode": 404}),
    "order_consumer": (batch("["), {"batchItemFailures": [{"itemIdentifier": "m"}]}),
    "requeue_stalled_orders": (None, {"complete": True}),
    "validate_order": ({"orderId": "o"}, {"errorType": "InvalidInput"}),
    "update_order_status": (task("o", status="LOST"), {"errorType": "InvalidInput"}),
    "fulfill_order": (task("o", pricing="none"), {"errorType": "InvalidInput"}),
    "release_order": ("text", {"errorType": "InvalidInput"}),
}


def test_every_function_has_a_bad_event() -> None:
    assert set(BAD_EVENTS) == set(function_names())


@pytest.mark.parametrize("function", BAD_EVENTS)
def test_a_bad_event_has_its_answer_and_the_next_one_is_processed(start: Start, function: str) -> None:
    event, expected = BAD_EVENTS[function]
    worker = start(function)
    for _ in range(2):
        answer = worker.invoke(event)
        content = answer.error or answer.result
        assert {name: content.get(name) for name in expected} == expected, content


def level_of(record: dict[str, Any]) -> int:
    """The place of a record in `LEVELS`. Lambda takes a record without a level for INFO."""
    return LEVELS.index(record.get("level", "INFO"))


@pytest.mark.parametrize("level", LEVELS)
def test_every_line_is_a_record_of_the_configured_level(
    start: Start, stack: RunningStack, level: str
) -> None:
    store_stalled_order(stack, f"o-{level}", "unknown", "p")
    worker = start("validate_order", level)
    assert worker.invoke(task(f"o-{level}")).error["errorType"] == "OrderRejected"
    assert worker.invoke({}).error["errorType"] == "InvalidInput"
    records = [json.loads(line) for line in worker.printed()]
    metrics = [record for record in records if "_aws" in record]
    assert [record["TaskOutcomes"] for record in metrics] == [[1.0]]
    assert all(level_of(record) >= LEVELS.index(level) for record in records if "_aws" not in record)
    errors = worker.reported()
    assert [record["errorType"] for record in errors] == ["OrderRejected", "InvalidInput"]
    assert {record["level"] for record in errors} == {"ERROR"}
