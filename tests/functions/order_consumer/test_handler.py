"""From the queue to the workflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.memory.functions import ENVIRONMENT, REGION, World, invoke

ROLE = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture
def state_machine(world: World) -> Any:
    """A state machine under the ARN that the consumer is told, and the client to look at it."""
    iam = boto3.client("iam")
    role = iam.create_role(RoleName="states", AssumeRolePolicyDocument=ROLE)["Role"]["Arn"]
    client = boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    arn = client.create_state_machine(name="order_fulfillment", definition=definition, roleArn=role)
    assert arn["stateMachineArn"] == ENVIRONMENT["STATE_MACHINE_ARN"]
    return client


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


def executions(client: Any) -> list[str]:
    listed = client.list_executions(stateMachineArn=ENVIRONMENT["STATE_MACHINE_ARN"])["executions"]
    return sorted(execution["name"] for execution in listed)


def test_every_message_starts_the_execution_of_its_attempt(world: World, state_machine: Any) -> None:
    assert failed(invoke("order_consumer", batch(message("a"), message("b", 2)))) == []
    assert executions(state_machine) == ["a-1", "b-2"]


def test_a_second_delivery_is_a_success_and_starts_nothing(world: World, state_machine: Any) -> None:
    for _ in range(2):
        assert failed(invoke("order_consumer", batch(message("a")))) == []
    assert executions(state_machine) == ["a-1"]


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
def test_one_bad_message_comes_back_alone_with_its_reason_logged(
    world: World, state_machine: Any, bad: object, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    good = [message(f"o-{number}") for number in range(9)]
    assert failed(invoke("order_consumer", batch(*good[:4], bad, *good[4:]))) == ["m-4"]
    assert len(executions(state_machine)) == 9
    errors = [line for line in log_lines() if line["level"] == "ERROR"]
    assert [(line["message"], line["message_id"]) for line in errors] == [("not an order message", "m-4")]
    assert "order_id" not in errors[0]


def test_a_message_whose_execution_cannot_be_started_comes_back(world: World) -> None:
    from functions.order_consumer import handler

    with Stubber(handler._step_functions) as stub:
        stub.add_client_error("start_execution", "ThrottlingException", http_status_code=400)
        stub.add_client_error("start_execution", "ThrottlingException", http_status_code=400)
        assert failed(invoke("order_consumer", batch(message("a")))) == ["m-0"]
