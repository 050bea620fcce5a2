"""What Step Functions knows of an order's execution."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError

# The machine has a dozen states; with all their retries a history stays far below one page.
_HISTORY_PAGE = 1000
NOT_STARTED = "NOT STARTED"
UNKNOWN = "UNKNOWN"
_DENIED = "AccessDeniedException"
_ENDED_BADLY = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class Execution(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One execution: how it stands, how long it took in seconds, and where and why it failed.

    `status` is Step Functions' own or, when it has none to tell, `NOT_STARTED` or UNKNOWN (of an EXPRESS
    machine, or not permitted; `note` says which).
    """

    name: str
    status: str
    started_at: str | None = None
    seconds: float | None = None
    failed_state: str | None = None
    error: str | None = None
    cause: str | None = None
    note: str | None = None


class Executions:
    """The executions of the order workflow, one per attempt of an order."""

    def __init__(self, client: Any, state_machine_arn: str) -> None:
        self._client = client
        self._state_machine_arn = state_machine_arn
        self._prefix = state_machine_arn.replace(":stateMachine:", ":execution:", 1)

    def find(self, name: str) -> Execution:
        """What is known of an execution. Raises botocore's errors, but not for a missing permission: an order
        can be looked into without."""
        try:
            answer = self._client.describe_execution(executionArn=f"{self._prefix}:{name}")
        except ClientError as error:
            return self._without_description(name, error)
        execution = Execution(
            name=name,
            status=answer["status"],
            started_at=answer["startDate"].isoformat(),
            seconds=_seconds(answer["startDate"], answer.get("stopDate")),
            error=answer.get("error"),
            cause=_message_in(answer.get("cause")),
        )
        return self._with_failure(execution) if execution.status in _ENDED_BADLY else execution

    def _without_description(self, name: str, error: ClientError) -> Execution:
        code = error.response["Error"]["Code"]
        if code == _DENIED:
            return Execution(name, UNKNOWN, note="states:DescribeExecution is not permitted")
        if code not in {"ExecutionDoesNotExist", "InvalidArn"}:
            raise error
        try:
            machine = self._client.describe_state_machine(stateMachineArn=self._state_machine_arn)
        except ClientError as denied:
            if denied.response["Error"]["Code"] != _DENIED:
                raise
            note = "AWS knows no such execution; states:DescribeStateMachine is not permitted"
            return Execution(name, UNKNOWN, note=note)
        if machine["type"] == "EXPRESS":
            return Execution(name, UNKNOWN, note="AWS keeps no list of EXPRESS executions, only their logs")
        return Execution(name, NOT_STARTED)

    def _with_failure(self, execution: Execution) -> Execution:
        """The execution with the state that failed last, and what that said."""
        try:
            answer = self._client.get_execution_history(
                executionArn=f"{self._prefix}:{execution.name}", reverseOrder=True, maxResults=_HISTORY_PAGE
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _DENIED:
                raise
            return msgspec.structs.replace(execution, note="states:GetExecutionHistory is not permitted")
        failure: dict[str, Any] = {}
        last_state = None
        for event in answer["events"]:  # the latest first
            if event["type"] in {"TaskFailed", "TaskTimedOut"} and not failure:
                failure = event.get("taskFailedEventDetails") or event.get("taskTimedOutEventDetails") or {}
            if event["type"] == "TaskStateEntered":
                last_state = last_state or event["stateEnteredEventDetails"]["name"]
                if failure:
                    last_state = event["stateEnteredEventDetails"]["name"]
                    break
        return msgspec.structs.replace(
            execution,
            failed_state=last_state,
            error=failure.get("error", execution.error),
            cause=_message_in(failure.get("cause")) or execution.cause,
        )


def _seconds(start: datetime, stop: datetime | None) -> float | None:
    return None if stop is None else (stop - start).total_seconds()


def _message_in(cause: str | None) -> str | None:
    """The message in a cause: Lambda's are JSON with a stack trace beside it."""
    if not cause:
        return None
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
