"""`order_consumer` starts an execution for each order message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import REGION, invoke


def batch(*bodies: object) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m-{number}",
                "receiptHandle": "r",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


def message(order_id: str, attempt: int = 1) -> dict[str, Any]:
    return {"orderId": order_id, "attempt": attempt, "correlationId": "cid-1"}


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def executions(backend: MemoryBackend) -> list[str]:
    return sorted(execution.name for execution in backend.cloud.executions)


def test_every_message_starts_the_execution_of_its_attempt(backend: MemoryBackend) -> None:
    assert failed(invoke("order_consumer", batch(message("a"), message("b", 2)))) == []
    assert executions(backend) == ["a-1", "b-2"]


def test_a_second_delivery_succeeds_and_starts_no_execution(backend: MemoryBackend) -> None:
    for _ in range(2):
        assert failed(invoke("order_consumer", batch(message("a")))) == []
    assert executions(backend) == ["a-1"]


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[]",
        "[" * 100_000,
        {},
        {"orderId": "a"},
        {**message("a"), "attempt": 0},
        message("a b"),
        message(""),
    ],
)
def test_only_the_malformed_message_of_a_batch_fails_and_it_is_logged(
    backend: MemoryBackend, bad: object, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    good = [message(f"o-{number}") for number in range(9)]
    assert failed(invoke("order_consumer", batch(*good[:4], bad, *good[4:]))) == ["m-4"]
    assert len(executions(backend)) == 9
    errors = [line for line in log_lines() if line["level"] == "ERROR"]
    assert [(line["message"], line["message_id"]) for line in errors] == [("not an order message", "m-4")]
    assert "order_id" not in errors[0]


def test_a_message_whose_execution_cannot_be_started_fails(backend: MemoryBackend) -> None:
    with backend.hooked(Failing(refusal("ThrottlingException"), "StartExecution")):
        assert failed(invoke("order_consumer", batch(message("a")))) == ["m-0"]
    assert executions(backend) == []
