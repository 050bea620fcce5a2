"""The emulator's own process: ministack, tied to the life of the process that started it.

Run as a file by `local.aws.emulator`, never imported by anything that needs more than its constants. Standard
input is a pipe from the parent: when it ends without RELEASE having come through, the parent is gone, and a
janitor process ends this whole process group and removes its folder.
"""

import fcntl
import os
import socketserver
import subprocess
import sys
import threading
from typing import Any

RELEASE = b"r"
LOCK_FILE = "lock"

# Arguments: process group, folder, state file or "". In a session of its own, so it outlives the group.
_JANITOR = """
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
        [sys.executable, "-I", "-S", "-c", _JANITOR, str(os.getpgid(0)), folder, state_file],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _main() -> None:
    folder, state_file = sys.argv[1:3]
    # Held until this process ends, however it ends: by this the folder is known to be in use. It must not be
    # inherited by Lambda workers, which Python's file descriptors are not.
    lock = os.open(os.path.join(folder, LOCK_FILE), os.O_RDWR | os.O_CREAT, 0o600)  # noqa: PTH118
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Thread(target=_watch_parent, args=(folder, state_file), daemon=True).start()
    # A worker fetches each event over a kept-alive connection, to which header and body are written one after
    # the other: without this every invocation waits 40 ms for a delayed acknowledgment.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    sys.argv = ["ministack"]
    from ministack.app import main

    _name_throttles_as_aws_does()
    _exempt_terminal_errors_from_the_wildcard()
    main()


def _name_throttles_as_aws_does() -> None:
    """A task whose Lambda is throttled fails with Lambda.TooManyRequestsException, as on AWS.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    The emulator's answer to a throttled call has no `errorType`, so its Step Functions say Lambda.Unknown.
    """
    from ministack.services import lambda_svc

    unnamed = lambda_svc._throttle_response

    def named(*args: object, **kwargs: object) -> "dict[str, Any]":
        response: dict[str, Any] = unnamed(*args, **kwargs)
        response["body"]["errorType"] = "Lambda.TooManyRequestsException"
        return response

    lambda_svc._throttle_response = named


def _exempt_terminal_errors_from_the_wildcard() -> None:
    """States.ALL matches neither States.DataLimitExceeded nor States.Runtime, as on AWS.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    from ministack.services import stepfunctions

    match_every_error = stepfunctions._error_matches

    def matches(error_equals: "list[str]", error: str) -> bool:
        if error in {"States.DataLimitExceeded", "States.Runtime"}:
            return error in error_equals
        return bool(match_every_error(error_equals, error))

    stepfunctions._error_matches = matches


if __name__ == "__main__":
    _main()
