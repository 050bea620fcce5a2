"""A call is repeated, because its answer was lost or it met a transaction: nothing changes for the client.

A call that botocore repeats after a lost answer meets its own first write. Each case runs without a fault,
and again with each fault at each call. Answers, messages, events, metrics and stored items must be equal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook
from local.memory.faults import FAULTS, FaultAt, faults_of
from local.memory.functions import HttpAnswer, invoke, invoke_task

Action = Callable[[], Any]


def post_user(backend: MemoryBackend) -> Action:
    return lambda: backend.api.post("/users", {"name": "Ada", "email": "ada@example.com"})


def patch_user(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.patch(f"/users/{user}", {"name": "Grace"})


def patch_user_if_match(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.patch(f"/users/{user}", {"name": "Grace"}, headers={"If-Match": '"1"'})


def delete_user(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.delete(f"/users/{user}")


def delete_user_if_match(backend: MemoryBackend) -> Action:
    user = backend.create_user()
    return lambda: backend.api.delete(f"/users/{user}", headers={"If-Match": '"1"'})


def post_product(backend: MemoryBackend) -> Action:
    return lambda: backend.api.post("/products", {"title": "Lamp", "price": 100, "stock": 3})


def patch_product(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.patch(f"/products/{product}", {"price": 5, "description": None})


def patch_stock(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.patch(f"/products/{product}", {"stock": 9}, headers={"If-Match": '"1"'})


def delete_product(backend: MemoryBackend) -> Action:
    product = backend.create_product()
    return lambda: backend.api.delete(f"/products/{product}")


def post_order(backend: MemoryBackend) -> Action:
    order = {"userId": "ada", "items": [{"productId": "lamp", "quantity": 1}]}
    return lambda: backend.api.post("/orders", order)


def post_order_with_key(backend: MemoryBackend) -> Action:
    order = {"userId": "ada", "items": [{"productId": "lamp", "quantity": 1}]}
    return lambda: backend.api.post("/orders", order, headers={"Idempotency-Key": "k"})


def cancel_order(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return lambda: backend.api.post(f"/orders/{order_id}/cancel")


def validate(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    pricing = invoke_task("validate_order", order_id)
    return lambda: invoke_task("update_order_status", order_id, status="VALIDATED", pricing=pricing)


def fulfill(backend: MemoryBackend) -> Action:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    return lambda: backend.reserve(order_id)


def release(backend: MemoryBackend) -> Action:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    return lambda: invoke_task("release_order", order_id)


def fail(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    return lambda: invoke_task("update_order_status", order_id, status="FAILED", reason="broken")


def requeue(backend: MemoryBackend) -> Action:
    backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    backend.wait(30)
    return lambda: invoke("requeue_stalled_orders", {})


def give_up(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    backend.set_order(order_id, attempt=3)
    backend.wait(30)
    return lambda: invoke("requeue_stalled_orders", {})


def retry(backend: MemoryBackend) -> Action:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.take_messages()
    invoke_task("update_order_status", order_id, status="FAILED", reason="broken")
    return lambda: backend.retry_order(order_id)


CASES = (
    *(post_user, patch_user, patch_user_if_match, delete_user, delete_user_if_match),
    *(post_product, patch_product, patch_stock, delete_product),
    *(post_order, post_order_with_key, cancel_order),
    *(validate, fulfill, release, fail, requeue, give_up, retry),
)

# The state machine repeats a task whose own transaction met another one.
CONTENTION = ("transaction conflict", "TransactWriteItems")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("fault", ["answer cut off once", "transaction conflict"])
def test_a_repeated_call_changes_nothing_for_the_client(
    case: Callable[[MemoryBackend], Action], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = FaultAt()
    expected = _effects(case, listing, capsys)
    assert listing.calls
    for number, call in enumerate(listing.calls):
        if fault not in faults_of(call) or (fault, call.operation) == CONTENTION:
            continue
        found = _effects(case, FaultAt(number, FAULTS[fault]), capsys)
        if call.service == "sqs":  # a message may be sent twice; the attempt in it makes that harmless
            found["messages"] = _without_repeats(found["messages"])
        if call.service == "events":  # an event may be sent twice, under one id
            found["events"] = _without_repeats(found["events"])
        assert found == expected, call


def _effects(
    case: Callable[[MemoryBackend], Action], hook: Hook, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Everything that an action changes or returns. Ids and times are the same in each run."""
    backend, numbers = MemoryBackend(), count(1)
    with installed(backend), patch("uuid.uuid4", lambda: uuid.UUID(int=next(numbers))):
        action = case(backend)
        capsys.readouterr()
        backend.take_events()
        with backend.hooked(hook):
            answer = action()
    return {
        "answer": (answer.status, answer.body) if isinstance(answer, HttpAnswer) else answer,
        "messages": backend.take_messages(),
        "events": backend.take_events(),
        "metrics": _metrics(capsys.readouterr().out),
        "items": {name: list(table.items.values()) for name, table in backend.cloud.store.tables.items()},
    }


def _metrics(output: str) -> list[str]:
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [
        metric["Name"]
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", ())
        for metric in directive["Metrics"]
    ]


def _without_repeats(found: list[Any]) -> list[Any]:
    return [entry for number, entry in enumerate(found) if entry not in found[:number]]
