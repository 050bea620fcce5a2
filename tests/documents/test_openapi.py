"""What the contract says of the errors is what the API answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.memory.functions import HttpAnswer, World
from tests.functions.dynamodb_hooks import refused

CONTRACT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text("utf-8"))
EXAMPLES = {name: example["value"] for name, example in CONTRACT["components"]["examples"].items()}
# API Gateway answers these; tests/e2e sees them.
OF_THE_GATEWAY = {"invalidApiKey", "throttled", "quotaExceeded", "integrationFailure", "integrationTimeout"}
USER = {"name": "Ada", "email": "ada@example.com"}


def order_of(quantity: int) -> dict[str, Any]:
    return {"userId": "u-1", "items": [{"productId": "p-1", "quantity": quantity}]}


def reuse_a_key(world: World) -> HttpAnswer:
    for quantity in (1, 2):
        answer = world.api.post("/orders", order_of(quantity), headers={"Idempotency-Key": "key"})
    return answer


def cancel_too_late(world: World) -> HttpAnswer:
    order_id = world.validated_order({world.product(): 1})
    world.reserve(order_id)
    return world.api.post(f"/orders/{order_id}/cancel")


def while_refused(code: str) -> Callable[[World], HttpAnswer]:
    def send(world: World) -> HttpAnswer:
        with refused(code, "secret"):
            return world.api.get("/users/u-1")

    return send


PROVOKE: dict[str, Callable[[World], HttpAnswer]] = {
    "malformedBody": lambda world: world.api.post("/users", "{"),
    "bodyTooLarge": lambda world: world.api.post("/users", " " * 70_000),
    "unsupportedMediaType": lambda world: world.api.post(
        "/users", "x", headers={"Content-Type": "text/plain"}
    ),
    "invalidInput": lambda world: world.api.post("/orders", order_of(0)),
    "invalidLimit": lambda world: world.api.get("/users", query={"limit": "0"}),
    "invalidPageToken": lambda world: world.api.get("/users", query={"nextToken": "x"}),
    "notFound": lambda world: world.api.get(f"/orders/{EXAMPLES['notFound']['detail'].split()[-1][:-1]}"),
    "tooLateToCancel": cancel_too_late,
    "versionMismatch": lambda world: world.api.patch(
        f"/products/{world.product()}", {"price": 1}, headers={"If-Match": '"7"'}
    ),
    "versionRequired": lambda world: world.api.patch(f"/products/{world.product()}", {"stock": 1}),
    "idempotencyKeyReused": reuse_a_key,
    "unavailable": while_refused("ThrottlingException"),
    "internalError": while_refused("AccessDeniedException"),
}


@pytest.mark.parametrize("name", PROVOKE)
def test_an_error_is_answered_as_the_contract_shows_it(world: World, name: str) -> None:
    answer = PROVOKE[name](world)
    assert answer.body == EXAMPLES[name] | {"requestId": "request-1"}
    assert answer.status == EXAMPLES[name]["status"]


def test_every_error_of_the_contract_is_provoked_here_or_is_the_gateways() -> None:
    assert set(EXAMPLES) == set(PROVOKE) | OF_THE_GATEWAY


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        (path, operation)
        for path, methods in CONTRACT["paths"].items()
        for operation in methods.values()
        if "requestBody" in operation
    ],
    ids=lambda value: value["operationId"] if isinstance(value, dict) else None,
)
def test_every_example_of_a_body_is_taken(world: World, path: str, operation: dict[str, Any]) -> None:
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        url = path.replace("{userId}", world.user()).replace("{productId}", world.product())
        method = "POST" if operation["operationId"].startswith("create") else "PATCH"
        answer = world.api.request(
            method, url, example["value"], headers={"If-Match": '"1"'} if method == "PATCH" else None
        )
        assert answer.status in {200, 201}, answer.body
