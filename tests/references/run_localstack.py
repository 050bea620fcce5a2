"""Runs the paths of the state machine on LocalStack's interpreter, in LocalStack's environment.

Reads a JSON document from standard input: the definition, the execution's input, each task's result, and the
failures of each path. Writes one list: how each path ended and what it invoked.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from localstack.services.stepfunctions.asl.component.common.retry import retrier_decl
from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import EvalTimeoutError
from localstack.services.stepfunctions.asl.component.state.state_execution.state_task import lambda_eval_utils
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


class _Functions:
    """Stands for the Lambda functions of one execution."""

    def __init__(self, failures: dict[str, list[str]], results: dict[str, Any]) -> None:
        self.failures = {state: list(errors) for state, errors in failures.items()}
        self.results = results
        self.invocations: list[Any] = []

    def invoke(self, env: Any, parameters: dict[str, Any], **_: Any) -> None:
        state = env.next_state_name
        self.invocations.append([state, parameters["FunctionName"], json.loads(parameters["Payload"])])
        errors = self.failures.get(state)
        if errors:
            _fail(errors.pop(0))
        env.stack.append({"Payload": self.results[state], "StatusCode": 200})


def _fail(error: str) -> None:
    if error == "States.Timeout":
        raise EvalTimeoutError
    if error.startswith("Lambda."):  # an error of the Invoke API
        answer = {"Error": {"Code": error.removeprefix("Lambda."), "Message": "because"}}
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
    functions = _Functions(failures, request["results"])
    details = EvaluationDetails(
        AWSExecutionDetails("123456789012", "eu-central-1", "role"),
        ExecutionDetails(f"{ARN}:execution:m:e", "e", "role", request["input"], "2026-01-01T00:00:00.000Z"),
        StateMachineDetails(f"{ARN}:stateMachine:m", "m", "STANDARD", json.dumps(request["definition"])),
    )
    worker = _Worker(details, _NoReport(), None, {})
    module = lambda_eval_utils.__name__
    with patch(f"{module}.execute_lambda_function_integration", functions.invoke):
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
        "invocations": functions.invocations,
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
