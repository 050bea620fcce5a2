"""The execution of an order's attempt, as Step Functions describes it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError

# The machine has a dozen states. With all retries, a history is far shorter than one page.
_HISTORY_PAGE = 1000
NOT_STARTED = "NOT STARTED"
UNKNOWN = "UNKNOWN"
NO_LIST = "AWS keeps no list of EXPRESS executions; the log of the state machine has their errors"
_DENIED = "AccessDeniedException"
_UNSUCCESSFUL = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})


class Execution(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One execution: status, duration in seconds, and the state and error with which it failed.

    `status` is that of Step Functions, or `NOT_STARTED`, or `UNKNOWN`. `note` gives the reason for `UNKNOWN`:
    an EXPRESS machine, or a missing permission.
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
        """Return an execution by its name.

        A missing permission becomes a note, because orders can be inspected without it. Raises botocore's
        other errors.
        """
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
        return self._with_failure(execution) if execution.status in _UNSUCCESSFUL else execution

    def are_express(self) -> bool:
        """Return whether AWS lists no executions of the machine. Raises botocore's errors."""
        answer = self._client.describe_state_machine(stateMachineArn=self._state_machine_arn)
        return bool(answer["type"] == "EXPRESS")

    def list_running(self) -> list[str]:
        """Return the names of all running executions of a STANDARD machine. Raises botocore's errors."""
        pages = self._client.get_paginator("list_executions").paginate(
            stateMachineArn=self._state_machine_arn, statusFilter="RUNNING"
        )
        return [execution["name"] for page in pages for execution in page["executions"]]

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
            note = "AWS has no execution of this name; states:DescribeStateMachine is not permitted"
            return Execution(name, UNKNOWN, note=note)
        if machine["type"] == "EXPRESS":
            return Execution(name, UNKNOWN, note=NO_LIST)
        return Execution(name, NOT_STARTED)

    def _with_failure(self, execution: Execution) -> Execution:
        """Add the function's state that failed last, with its error and cause."""
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
        for event in answer["events"]:  # the latest comes first
            if event["type"] in {"TaskFailed", "TaskTimedOut"} and not failure:
                details = event.get("taskFailedEventDetails") or event.get("taskTimedOutEventDetails") or {}
                # The workflow's own write after a failed state is refused if the order is still open.
                failure = {} if details.get("resourceType") == "dynamodb" else details
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
    """Return the message of a cause. Lambda's causes are JSON with a message and a stack trace."""
    if not cause:
        return None
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
