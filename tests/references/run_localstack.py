"""Runs the paths of the state machine on LocalStack's interpreter, in LocalStack's environment.

Reads a JSON document from standard input: the definition, the execution's input, each task's result, and the
failures of each path. Writes one list: how each path ended and what it invoked.
"""

from __future__ import annotations

import json
import logging
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from localstack.services.stepfunctions.asl.component.common.retry import retrier_decl
from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import EvalTimeoutError
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import lambda_eval_utils
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
    state_task_service_dynamodb,
)
from localstack.services.stepfunctions.asl.eval.evaluation_details import (
    AWSExecutionDetails,
    EvaluationDetails,
    ExecutionDetails,
    StateMachineDetails,
)
from localstack.services.stepfunctions.asl.eval.program_state import ProgramError
from localstack.services.stepfunctions.asl.jsonata import jsonata
from localstack.services.stepfunctions.backend.execution_worker import SyncExecutionWorker
from localstack.services.stepfunctions.backend.execution_worker_comm import ExecutionWorkerCommunication

from tests.references.jsonata_process import JsonataError, JsonataProcess

ARN = "arn:aws:states:eu-central-1:123456789012"


class _NoReport(ExecutionWorkerCommunication):  # type: ignore[misc]
    def terminated(self) -> None:
        """Does nothing: the worker runs in the caller's thread."""


class _Services:
    """Stands for Lambda and DynamoDB in one execution."""

    def __init__(self, failures: dict[str, list[str]], results: dict[str, Any]) -> None:
        self.failures = {state: list(errors) for state, errors in failures.items()}
        self.results = results
        self.invocations: list[Any] = []

    def invoke(self, env: Any, parameters: dict[str, Any], **_: Any) -> None:
        result = self._call(
            env.next_state_name, parameters["FunctionName"], json.loads(parameters["Payload"])
        )
        env.stack.append({"Payload": result, "StatusCode": 200})

    def update_item(self, state: str, **parameters: Any) -> dict[str, Any]:
        return dict(self._call(state, "dynamodb:updateItem", parameters))

    def _call(self, state: str, function: str, payload: Any) -> Any:
        self.invocations.append([state, function, payload])
        errors = self.failures.get(state)
        if errors:
            _fail(errors.pop(0))
        return self.results[state]


def _fail(error: str) -> None:
    if error == "States.Timeout":
        raise EvalTimeoutError
    service, _, code = error.partition(".")
    if service in {"Lambda", "DynamoDB"}:  # an error of the API that the task calls
        answer = {"Error": {"Code": code, "Message": "because"}}
        raise ClientError(
            answer | {"ResponseMetadata": {"HTTPStatusCode": 500, "RequestId": "r"}},
            "Invoke",
        )
    payload = json.dumps({"errorMessage": f"{error}: because", "errorType": error})
    raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", payload)


class _Worker(SyncExecutionWorker):  # type: ignore[misc]
    """Parses the definition once: that takes longer than all executions."""

    _program: Any = None

    def _get_evaluation_entrypoint(self) -> Any:
        if _Worker._program is None:
            _Worker._program = super()._get_evaluation_entrypoint()
        return _Worker._program


def _run(request: dict[str, Any], failures: dict[str, list[str]]) -> dict[str, Any]:
    services = _Services(failures, request["results"])
    details = EvaluationDetails(
        AWSExecutionDetails("123456789012", "eu-central-1", "role"),
        ExecutionDetails(f"{ARN}:execution:m:e", "e", "role", request["input"], "2026-01-01T00:00:00.000Z"),
        StateMachineDetails(f"{ARN}:stateMachine:m", "m", "STANDARD", json.dumps(request["definition"])),
    )
    worker = _Worker(details, _NoReport(), None, {})

    def client_for(**_: Any) -> Any:
        return SimpleNamespace(update_item=partial(services.update_item, worker.env.next_state_name))

    with (
        patch.object(lambda_eval_utils, "execute_lambda_function_integration", services.invoke),
        patch.object(state_task_service_dynamodb, "boto_client_for", client_for),
    ):
        worker.start()
    state = worker.env.program_state()
    error = state.error if isinstance(state, ProgramError) else {}
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for event in worker.env.event_manager.get_event_history()
        if "stateEnteredEventDetails" in event
    ]
    return {
        "end": ["FAILED" if error else "SUCCEEDED", entered[-1], error.get("error"), error.get("cause")],
        "invocations": services.invocations,
    }


def _main() -> None:
    logging.disable()
    request = json.load(sys.stdin)
    with JsonataProcess(Path(sys.argv[1])) as process:

        def evaluate(expression: str) -> Any:
            try:
                return process.evaluate(expression)
            except JsonataError as error:
                raise jsonata.JSONataException("UNKNOWN", str(error)) from error

        jsonata._eval_jsonata = evaluate  # else it starts Java with another JSONata
        # Retries do not wait.
        with patch.object(retrier_decl, "time", type("NoWaits", (), {"sleep": staticmethod(lambda _: None)})):
            results = [_run(request, failures) for failures in request["paths"]]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    _main()
