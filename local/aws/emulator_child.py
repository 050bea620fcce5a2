"""The emulator's process: runs ministack, and ends with the process that started it.

`local.aws.emulator` runs this file, and imports its constants. Standard input is a pipe from the parent. When
the pipe closes without RELEASE, the parent has ended: a cleanup process then ends this process group and
removes its folder.
"""

import asyncio
import errno
import fcntl
import json
import os
import socketserver
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

RELEASE = b"r"
LOCK_FILE = "lock"
# Seconds of a task's seven, the rest of which its function needs.
_PATIENCE_OF_TASKS = 3.0

# Arguments: process group, folder, state file or "". Runs in a separate session and survives the group.
_CLEANUP = """
import json, os, shutil, signal, sys, time
group, folder, state = int(sys.argv[1]), sys.argv[2], sys.argv[3]
try:
    if state and json.load(open(state))["pid"] == group:
        os.remove(state)
except (OSError, ValueError, KeyError):
    pass
try:
    os.killpg(group, signal.SIGKILL)
except OSError:
    pass
for attempt in range(200):
    shutil.rmtree(folder, ignore_errors=True)
    time.sleep(0.01)
    if not os.path.exists(folder):
        break
"""


def _watch_parent(folder: str, state_file: str) -> None:
    if os.read(0, 1) == RELEASE:
        return
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _CLEANUP, str(os.getpgid(0)), folder, state_file],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _main() -> None:
    folder, state_file, kept_data = sys.argv[1:4]
    # Held until this process ends, which marks the folder as in use. Lambda workers must not inherit it;
    # Python's file descriptors are not inheritable.
    lock = os.open(os.path.join(folder, LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Thread(target=_watch_parent, args=(folder, state_file), daemon=True).start()
    # A worker fetches each event over a kept-alive connection; header and body are written separately.
    # Without this, every invocation waits 40 ms for a delayed acknowledgment.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    sys.argv = ["ministack"]
    from ministack.app import main

    _set_error_type_of_throttled_calls()
    _exempt_terminal_errors_from_wildcard()
    _answer_failed_integrations_as_the_gateway()
    _wait_for_cold_workers()
    _wait_for_busy_workers()
    sys.path.append(str(Path(__file__).parents[2]))
    if kept_data:
        from local.aws.kept_data import keep_data

        keep_data(Path(kept_data))
    from local.aws.emulator_server import serve_quickly
    from local.aws.emulator_speed import speed_up

    speed_up()
    serve_quickly()
    sys.path.pop()
    main()


def _set_error_type_of_throttled_calls() -> None:
    """Makes a task whose Lambda is throttled fail with Lambda.TooManyRequestsException, as on AWS.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    The emulator's response to a throttled call has no `errorType`: its Step Functions report Lambda.Unknown.
    """
    from ministack.services import lambda_svc

    original = lambda_svc._throttle_response

    def with_error_type(*args: object, **kwargs: object) -> "dict[str, Any]":
        response: dict[str, Any] = original(*args, **kwargs)
        response["body"]["errorType"] = "Lambda.TooManyRequestsException"
        return response

    lambda_svc._throttle_response = with_error_type


def _exempt_terminal_errors_from_wildcard() -> None:
    """Makes States.ALL match neither States.DataLimitExceeded nor States.Runtime, as on AWS.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    from ministack.services import stepfunctions

    match_every_error = stepfunctions._error_matches

    def matches(error_equals: "list[str]", error: str) -> bool:
        if error in {"States.DataLimitExceeded", "States.Runtime"}:
            return error in error_equals
        return bool(match_every_error(error_equals, error))

    stepfunctions._error_matches = matches


def _answer_failed_integrations_as_the_gateway() -> None:
    """Makes API Gateway answer and describe requests of Lambda proxy integrations as on AWS.

    - A throttled or failed function is a gateway response. The emulator returns Lambda's own error, with its
      stack trace, which the emulator's log gets instead. A full disk is named in the response:
      https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
    - The id in the event is the response's `x-amzn-requestid`.
    - The identity in the event has the id of the API key.
    - The path in the event is the one that the client sent, so that `Location` can be followed.
    """
    from ministack.services import apigateway_v1 as gateway

    describe, shape = gateway._build_lambda_event_v1, gateway._lambda_proxy_response
    invoke = gateway._invoke_lambda_proxy_v1
    event_of_request: ContextVar[dict[str, Any]] = ContextVar("event_of_request")

    class FailedIntegration(Exception):
        """The response type of the gateway."""

    def with_path_of_client(api_id: str, *args: Any, **kwargs: Any) -> "dict[str, Any]":
        event: dict[str, Any] = describe(api_id, *args, **kwargs)
        host = str(event["headers"].get("host", "")).rpartition(":")[0]
        if host in {"127.0.0.1", "localhost"}:
            context = event["requestContext"]
            context["path"] = f"/_aws/execute-api/{api_id}{context['path']}"
        # None without a key; the gateway checks keys before.
        client = gateway._resolve_api_key(gateway._api_key_from_request(event["headers"]))
        event["requestContext"]["identity"]["apiKeyId"] = client and client["id"]
        event_of_request.set(event)
        return event

    def without_errors_of_lambda(result: "dict[str, Any]") -> Any:
        if result.get("throttle"):
            raise FailedIntegration("INTEGRATION_FAILURE")
        if result.get("error"):
            print("a function failed:", result.get("body"), file=sys.stderr, flush=True)
            raise FailedIntegration("DEFAULT_5XX")
        return shape(result)

    async def with_gateway_responses(
        integration: Any, api_id: str, stage_name: str, stage: Any, resource: Any, *args: Any, **kwargs: Any
    ) -> Any:
        try:
            answer = await invoke(integration, api_id, stage_name, stage, resource, *args, **kwargs)
        except (FailedIntegration, OSError) as failure:
            response_type = "DEFAULT_5XX" if isinstance(failure, OSError) else failure.args[0]
            request = {
                "api_id": api_id,
                "stage_name": stage_name,
                "stage": stage,
                "headers": {},
                "query_params": {},
                "path_params": {},
                "resource_path": resource["path"],
                "request_id": event_of_request.get()["requestContext"]["requestId"],
            }
            error = gateway._gw_error(response_type, "Internal server error")
            answer = gateway._gateway_error_response(error, request)
            answer = (*answer[:2], _with_cause(answer[2], failure))
        if not isinstance(answer, tuple):
            return answer
        status, headers, body = answer
        headers["x-amzn-requestid"] = event_of_request.get()["requestContext"]["requestId"]
        return status, headers, body

    gateway._build_lambda_event_v1 = with_path_of_client
    gateway._lambda_proxy_response = without_errors_of_lambda
    gateway._invoke_lambda_proxy_v1 = with_gateway_responses


def _with_cause(problem: bytes, failure: Exception) -> bytes:
    """Returns a problem document whose detail names a full disk, if that is what failed."""
    if not isinstance(failure, OSError) or failure.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return problem
    return json.dumps(
        json.loads(problem) | {"detail": f"The disk of {os.environ['TMPDIR']} is full."}
    ).encode()


def _wait_for_cold_workers() -> None:
    """Gives a worker a minute to start, as a busy machine may need. It is not a failed invocation."""
    from ministack.core import lambda_runtime

    lambda_runtime._PROVIDED_INIT_TIMEOUT = 60.0


def _wait_for_busy_workers() -> None:
    """Makes requests to the gateway and tasks of workflows wait while all workers of their function are busy.

    On AWS they would be throttled. Here the reserved concurrency only protects the memory of this machine.
    A task waits for a part of its timeout, and is throttled then.
    """
    from ministack.services import apigateway_v1, lambda_svc, stepfunctions

    call, call_of_task = apigateway_v1._call_lambda_raw, stepfunctions._call_lambda
    free: dict[tuple[str, int], asyncio.Semaphore] = {}
    free_for_tasks: dict[tuple[str, int], threading.Semaphore] = {}

    async def call_when_free(function: str, event: "dict[str, Any]", **scope: Any) -> Any:
        record, config, _ = lambda_svc._get_func_record_for_ref_in_scope(function, **scope)
        reserved = record and lambda_svc._reserved_concurrency(record, config)
        if not reserved:
            return await call(function, event, **scope)
        async with free.setdefault((function, reserved), asyncio.Semaphore(reserved)):
            return await call(function, event, **scope)

    def call_task_when_free(function: str, event: Any) -> Any:
        record, config, _ = lambda_svc._get_func_record_for_ref(function)
        reserved = record and lambda_svc._reserved_concurrency(record, config)
        if not reserved:
            return call_of_task(function, event)
        workers = free_for_tasks.setdefault((function, reserved), threading.Semaphore(reserved))
        is_free = workers.acquire(timeout=_PATIENCE_OF_TASKS)
        try:
            return call_of_task(function, event)
        finally:
            if is_free:
                workers.release()

    apigateway_v1._call_lambda_raw = call_when_free
    stepfunctions._call_lambda = call_task_when_free


if __name__ == "__main__":
    _main()
