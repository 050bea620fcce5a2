"""The API answers errors and example bodies as the contract documents them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.shared import aws
from functions.shared.domain.products import Product
from functions.shared.signatures import SigningSecret, sign
from local.memory.backend import MemoryBackend, installed
from local.memory.faults import Failing, refusal
from local.memory.functions import HttpAnswer
from local.memory.iam import SECRET_ARN

DOCS = Path(__file__).parents[2] / "docs"
CONTRACT = json.loads((DOCS / "openapi.json").read_text("utf-8"))
PAGE = (DOCS / "api.md").read_text("utf-8")
EXAMPLES = {name: example["value"] for name, example in CONTRACT["components"]["examples"].items()}
# API Gateway answers these. tests/e2e tests them.
GATEWAY_ERRORS = {"invalidApiKey", "throttled", "quotaExceeded", "integrationFailure", "integrationTimeout"}
AT = "2026-01-01T00:00:00.000Z"
USER = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBackend]:
    """A backend with a fulfillment system, whose signatures the API checks."""
    with installed(MemoryBackend(uses_fulfillment_system=True)) as backend:
        from functions.reports_api import handler

        secret = SigningSecret(lambda: aws.client("secretsmanager"), SECRET_ARN)
        monkeypatch.setattr(handler, "_secret", secret)
        yield backend


def order_of(quantity: int) -> dict[str, Any]:
    return {"userId": "u-1", "items": [{"productId": "p-1", "quantity": quantity}]}


def reuse_a_key(backend: MemoryBackend) -> HttpAnswer:
    for quantity in (1, 2):
        answer = backend.api.post("/orders", order_of(quantity), headers={"Idempotency-Key": "key"})
    return answer


def take_an_address(backend: MemoryBackend) -> HttpAnswer:
    for _ in range(2):
        answer = backend.api.post("/users", USER)
    return answer


def create_twice(backend: MemoryBackend) -> HttpAnswer:
    product = EXAMPLES["alreadyExists"]["detail"].split()[-2]
    for _ in range(2):
        answer = backend.api.put(
            f"/products/{product}", {"title": "Lamp", "price": 1}, headers={"If-None-Match": "*"}
        )
    return answer


def cancel_too_late(backend: MemoryBackend) -> HttpAnswer:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    return backend.api.post(f"/orders/{order_id}/cancel")


def get_while_aws_refuses(code: str) -> Callable[[MemoryBackend], HttpAnswer]:
    def send(backend: MemoryBackend) -> HttpAnswer:
        with backend.hooked(Failing(refusal(code, "secret"))):
            return backend.api.get("/users/u-1")

    return send


def signed(backend: MemoryBackend, method: str, path: str, body: object) -> dict[str, str]:
    """Returns the headers with which the fulfillment system signs a request."""
    timestamp = str(int(backend.seconds()))
    signature = sign(
        backend.cloud.partner.secret.encode(), timestamp, json.dumps(body).encode(), route=f"{method} {path}"
    )
    return {"X-Orderflow-Timestamp": timestamp, "X-Orderflow-Signature": signature}


def create_order_in_fulfillment(backend: MemoryBackend, product: str) -> str:
    """Creates an order of two of the product that the examples show."""
    backend.put("products", Product(product, "Lamp", 1999, "EUR", 10, 1, AT, AT))
    order_id = backend.create_validated_order({product: 2})
    backend.reserve(order_id)
    backend.set_order(order_id, status="IN_FULFILLMENT")
    return order_id


def report_a_parcel(backend: MemoryBackend, order_id: str, product: str, quantity: int) -> HttpAnswer:
    path = f"/orders/{order_id}/shipments/P-1"
    body = {"lines": [{"productId": product, "quantity": quantity}], "shippedAt": AT}
    return backend.api.request("PUT", path, body, headers=signed(backend, "PUT", path, body))


def report_too_much(backend: MemoryBackend) -> HttpAnswer:
    product = EXAMPLES["reportRefused"]["detail"].split()[3]
    return report_a_parcel(backend, create_order_in_fulfillment(backend, product), product, 3)


def report_too_early(backend: MemoryBackend) -> HttpAnswer:
    product = backend.create_product()
    return report_a_parcel(backend, backend.create_order(backend.create_user(), {product: 1}), product, 1)


def check_out(name: str, **body: object) -> Callable[[MemoryBackend], HttpAnswer]:
    """Checks out the basket that the example of this error shows."""

    def send(backend: MemoryBackend) -> HttpAnswer:
        user, gone = backend.create_user(), backend.create_product()
        for line in EXAMPLES[name].get("quote", {"items": []})["items"]:
            product_id, title = line["productId"], line.get("title", gone)
            price, stock = line.get("unitPrice", 1), line["available"]
            backend.put("products", Product(product_id, title, price, "EUR", stock, 1, AT, AT))
            backend.fill_basket(user, {product_id: line["quantity"]})
            if line.get("problem") == "unknown_product":
                backend.api.delete(f"/products/{product_id}")
        return backend.api.post(f"/users/{user}/basket/checkout", body)

    return send


REQUESTS: dict[str, Callable[[MemoryBackend], HttpAnswer]] = {
    "malformedBody": lambda backend: backend.api.post("/users", "{"),
    "bodyTooLarge": lambda backend: backend.api.post("/users", " " * 70_000),
    "unsupportedMediaType": lambda backend: backend.api.post(
        "/users", "x", headers={"Content-Type": "text/plain"}
    ),
    "invalidInput": lambda backend: backend.api.post("/orders", order_of(0)),
    "invalidLimit": lambda backend: backend.api.get("/users", query={"limit": "0"}),
    "invalidOrderQuery": lambda backend: backend.api.get("/orders", query={"from": "2099-01-01"}),
    "malformedIfMatch": lambda backend: backend.api.delete("/users/u-1", headers={"If-Match": "3"}),
    "unknownParameter": lambda backend: backend.api.get("/users/u-1", query={"emial": "x"}),
    "invalidPageToken": lambda backend: backend.api.get("/users", query={"nextToken": "x"}),
    "notFound": lambda backend: backend.api.get(f"/orders/{EXAMPLES['notFound']['detail'].split()[-1][:-1]}"),
    "emailTaken": take_an_address,
    "tooLateToCancel": cancel_too_late,
    "malformedIfNoneMatch": lambda backend: backend.api.put(
        "/users/u-1", USER, headers={"If-None-Match": '"1"'}
    ),
    "insufficientStock": lambda backend: backend.api.post(
        f"/products/{backend.create_product(stock=2)}/stock", {"change": -5}
    ),
    "alreadyExists": create_twice,
    "basketEmpty": check_out("basketEmpty"),
    "notOrderable": check_out("notOrderable"),
    "shortBasket": check_out("shortBasket"),
    "priceChanged": check_out("priceChanged", expectedTotal={"amount": 3598, "currency": "EUR"}),
    "versionMismatch": lambda backend: backend.api.patch(
        f"/products/{backend.create_product()}", {"price": 1}, headers={"If-Match": '"7"'}
    ),
    "versionRequired": lambda backend: backend.api.patch(
        f"/products/{backend.create_product()}", {"stock": 1}
    ),
    "idempotencyKeyReused": reuse_a_key,
    "invalidSignature": lambda backend: backend.api.request(
        "PUT", "/orders/o-1/refusals/N-1", {"lines": [{"productId": "p-1", "quantity": 1}], "reason": "sold"}
    ),
    "notHandedOver": report_too_early,
    "reportRefused": report_too_much,
    "unavailable": get_while_aws_refuses("ThrottlingException"),
    "internalError": get_while_aws_refuses("AccessDeniedException"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_error_is_answered_as_in_the_contract(backend: MemoryBackend, name: str) -> None:
    answer = REQUESTS[name](backend)
    assert answer.body == EXAMPLES[name] | {"requestId": "request-1"}
    assert answer.status == EXAMPLES[name]["status"]


def test_every_error_of_the_contract_has_a_test_here_or_is_answered_by_the_gateway() -> None:
    assert set(EXAMPLES) == set(REQUESTS) | GATEWAY_ERRORS


def test_the_page_lists_every_code_of_an_error_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}[^|]*) \| ((?:`[a-z_]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    statuses: dict[str, str] = {}
    for status, codes in rows:
        statuses |= {code: statuses.get(code, "") + status for code in re.findall(r"[a-z_]+", codes)}
    assert set(statuses) == set(CONTRACT["components"]["schemas"]["ProblemCode"]["x-extensible-enum"])
    for example in EXAMPLES.values():
        assert str(example["status"]) in statuses[example["code"]]


def test_the_page_lists_every_reason_of_a_rejection_with_its_meaning() -> None:
    schema = CONTRACT["components"]["schemas"]["RejectionCode"]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([A-Z].*) \|$", PAGE, re.MULTILINE)
    assert rows == re.findall(r"^- `([a-z_]+)`: (.*)$", schema["description"], re.MULTILINE)
    assert [code for code, _ in rows] == schema["x-extensible-enum"]


@pytest.mark.parametrize(
    ("path", "method", "operation"),
    [
        (path, method.upper(), operation)
        for path, methods in CONTRACT["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    ],
    ids=lambda value: value["operationId"] if isinstance(value, dict) else "",
)
def test_every_example_body_is_accepted(
    backend: MemoryBackend, path: str, method: str, operation: dict[str, Any]
) -> None:
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        user, product = backend.create_user(), backend.create_product(price=1999)
        backend.fill_basket(user, {product: 2})  # for the checkout, at the total of its example
        url = path.replace("{userId}", user).replace("{productId}", product)
        headers = {"If-Match": '"1"'} if method == "PATCH" else {}
        if "{orderId}" in path:
            (line,) = example["value"]["lines"]
            order_id = create_order_in_fulfillment(backend, line["productId"])
            if "{returnId}" in path:  # what comes back was shipped before
                report_a_parcel(backend, order_id, line["productId"], 2)
            url = re.sub(r"{\w+}", "R-1", url.replace("{orderId}", order_id))
            headers = signed(backend, method, url, example["value"])
        answer = backend.api.request(method, url, example["value"], headers=headers)
        assert answer.status in {200, 201, 207}, answer.body
