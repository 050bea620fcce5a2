"""The status of an order's execution, and the state and error with which it failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.memory.functions import ENVIRONMENT, REGION
from ops.executions import Execution, Executions

MACHINE = ENVIRONMENT["STATE_MACHINE_ARN"]
ARN = MACHINE.replace(":stateMachine:", ":execution:") + ":o-1"
START, STOP = datetime(2026, 1, 31, 8, tzinfo=UTC), datetime(2026, 1, 31, 8, 0, 5, tzinfo=UTC)


@pytest.fixture
def states() -> Stubber:
    """Step Functions with the answers that a test adds."""
    client = boto3.client(
        "stepfunctions", region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    return Stubber(client)


def find(states: Stubber) -> Execution:
    with states:
        found = Executions(states.client, MACHINE).find("o-1")
    states.assert_no_pending_responses()
    return found


def described(status: str, **more: object) -> dict[str, Any]:
    return {
        "executionArn": ARN,
        "stateMachineArn": MACHINE,
        "status": status,
        "startDate": START,
        "stopDate": STOP,
        **more,
    }


def entered(number: int, state: str, kind: str = "Task") -> dict[str, Any]:
    details = {"name": state}
    return {
        "id": number,
        "type": f"{kind}StateEntered",
        "timestamp": START,
        "stateEnteredEventDetails": details,
    }


def failed(number: int, error: str, cause: str) -> dict[str, Any]:
    details = {"resourceType": "lambda", "resource": "invoke", "error": error, "cause": cause}
    return {"id": number, "type": "TaskFailed", "timestamp": START, "taskFailedEventDetails": details}


def add_history(states: Stubber, *events: dict[str, Any]) -> None:
    expected = {"executionArn": ARN, "reverseOrder": True, "maxResults": 1000}
    states.add_response("get_execution_history", {"events": list(reversed(events))}, expected)


def test_a_success_has_its_status_and_duration(states: Stubber) -> None:
    states.add_response("describe_execution", described("SUCCEEDED"), {"executionArn": ARN})
    assert find(states) == Execution("o-1", "SUCCEEDED", started_at=START.isoformat(), seconds=5.0)


def test_a_failure_has_the_state_that_failed_last_and_not_the_ones_after_it(
    states: Stubber,
) -> None:
    states.add_response("describe_execution", described("FAILED", error="OrderFailed", cause="refused"))
    cause = json.dumps({"errorMessage": "the fulfillment system refused the order (422)", "errorType": "X"})
    add_history(
        states,
        entered(1, "FulfillOrder"),
        failed(2, "FulfillmentRefused", cause),
        entered(3, "ReleaseOrder"),
        entered(4, "MarkFailed"),
        entered(5, "OrderFailed", "Fail"),
    )
    found = find(states)
    assert found.failed_state == "FulfillOrder"
    assert found.error == "FulfillmentRefused"
    assert found.cause == "the fulfillment system refused the order (422)"


def test_a_refused_return_to_the_open_index_is_not_the_failure(states: Stubber) -> None:
    states.add_response("describe_execution", described("FAILED", error="OrderUnfinished", cause="c"))
    refused = failed(4, "DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
    refused["taskFailedEventDetails"] |= {"resourceType": "dynamodb", "resource": "updateItem"}
    add_history(
        states,
        entered(1, "MarkFailed"),
        failed(2, "Sandbox.Timedout", "timed out"),
        entered(3, "ReturnToOpenIndex"),
        refused,
        entered(5, "OrderUnfinished", "Fail"),
    )
    found = find(states)
    assert (found.failed_state, found.error, found.cause) == ("MarkFailed", "Sandbox.Timedout", "timed out")


def test_a_timeout_has_the_state_that_was_running(states: Stubber) -> None:
    states.add_response("describe_execution", described("TIMED_OUT"))
    add_history(states, entered(1, "ValidateOrder"), entered(2, "MarkValidated"))
    found = find(states)
    assert (found.failed_state, found.error) == ("MarkValidated", None)


def test_an_execution_that_never_started_is_reported(states: Stubber) -> None:
    states.add_client_error("describe_execution", "ExecutionDoesNotExist")
    states.add_response("describe_state_machine", machine("STANDARD"), {"stateMachineArn": MACHINE})
    assert find(states) == Execution("o-1", "NOT STARTED")


def test_an_execution_of_an_express_machine_is_unknown(states: Stubber) -> None:
    states.add_client_error("describe_execution", "InvalidArn")
    states.add_response("describe_state_machine", machine("EXPRESS"), {"stateMachineArn": MACHINE})
    found = find(states)
    assert found.status == "UNKNOWN"
    assert "EXPRESS" in (found.note or "")


@pytest.mark.parametrize("action", ["DescribeExecution", "GetExecutionHistory"])
def test_a_missing_permission_becomes_a_note(states: Stubber, action: str) -> None:
    if action == "DescribeExecution":
        states.add_client_error("describe_execution", "AccessDeniedException")
    else:
        states.add_response("describe_execution", described("FAILED", error="OrderUnfinished", cause="c"))
        states.add_client_error("get_execution_history", "AccessDeniedException")
    found = find(states)
    assert found.status == ("UNKNOWN" if action == "DescribeExecution" else "FAILED")
    assert found.note == f"states:{action} is not permitted"


def test_a_missing_permission_to_describe_the_machine_becomes_a_note(states: Stubber) -> None:
    states.add_client_error("describe_execution", "ExecutionDoesNotExist")
    states.add_client_error("describe_state_machine", "AccessDeniedException")
    found = find(states)
    assert found.status == "UNKNOWN"
    assert found.note == "AWS has no execution of this name; states:DescribeStateMachine is not permitted"


def test_any_other_error_is_raised(states: Stubber) -> None:
    states.add_client_error("describe_execution", "ThrottlingException")
    with pytest.raises(states.client.exceptions.ClientError, match="ThrottlingException"):
        find(states)


def machine(kind: str) -> dict[str, Any]:
    return {
        "stateMachineArn": MACHINE,
        "name": "order_fulfillment",
        "definition": "{}",
        "roleArn": "arn:aws:iam::123456789012:role/states",
        "type": kind,
        "creationDate": START,
    }
