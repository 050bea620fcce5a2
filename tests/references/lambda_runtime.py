"""Runs a function's archive and layer, as the project builds them, under AWS's runtime client on Python 3.13.

Nothing else is installed beside them, apart from the boto3 that Lambda has.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import shutil
import struct
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

from components import packaging
from tests.references.implementations import RUNTIME

_PREFIX = "/2018-06-01/runtime"
_FRAME = struct.Struct(">4siq")  # type, length, microseconds


@dataclass(frozen=True)
class Answer:
    """What a function answered: its result, or the error as Lambda gets it."""

    result: Any = None
    error: Any = None


class _RuntimeApi(ThreadingHTTPServer):
    """Lambda's Runtime API for one function.

    https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
    """

    daemon_threads = True

    def __init__(self, function: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.function = function
        self.events: queue.Queue[Any] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()


class _Handler(BaseHTTPRequestHandler):
    server: _RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serves `next`: waits for an event."""
        assert self.path == f"{_PREFIX}/invocation/next"
        body = json.dumps(self.server.events.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "11111111-2222-3333-4444-555555555555")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 60) * 1000)))
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{self.server.function}"
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
        self._send(body)

    def do_POST(self) -> None:
        """Takes an answer, or the error of an invocation or of the start."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        failed = self.path.endswith("/error")
        self.server.answers.put(Answer(error=body) if failed else Answer(result=body))
        self.send_response(202)
        self._send(b"{}")

    def _send(self, body: bytes) -> None:
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


@dataclass(frozen=True)
class Worker:
    """A function's process."""

    api: _RuntimeApi
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    def invoke(self, event: Any) -> Answer:
        """Sends one event. Fails if the process ends without an answer."""
        self.api.events.put(event)
        while True:
            try:
                return self.api.answers.get(timeout=0.5)
            except queue.Empty:
                assert self.process.poll() is None, (self.folder / "stdout").read_text()

    def printed(self) -> list[str]:
        """The lines on standard output and standard error: those of the function's own logger."""
        return (self.folder / "stdout").read_text().splitlines()

    def reported(self) -> list[dict[str, Any]]:
        """The records that the runtime client wrote to Lambda's telemetry."""
        records = []
        rest = (self.folder / "telemetry").read_bytes()
        while rest:
            _, length, _ = _FRAME.unpack_from(rest)
            records.append(json.loads(rest[_FRAME.size : _FRAME.size + length]))
            rest = rest[_FRAME.size + length :]
        return records


def build_layer(folder: Path) -> Path:
    """Builds the layer for this machine's processor. Returns the folder that Lambda mounts as /opt."""
    (folder / "functions").mkdir()
    shutil.copy(packaging.PROJECT_ROOT / "functions" / "requirements.txt", folder / "functions")
    platforms = tuple(name.replace("aarch64", platform.machine()) for name in packaging._WHEEL_PLATFORMS)
    with patch.object(packaging, "_WHEEL_PLATFORMS", platforms):
        return packaging.layer_folder(folder)


@contextmanager
def started(function: str, variables: Mapping[str, str], layer: Path, folder: Path) -> Iterator[Worker]:
    """A function's process with these environment variables, until the end of the block."""
    archive, task = folder / "archive.zip", folder / "task"
    packaging.zip_files(packaging.archive_files(function), archive)
    with zipfile.ZipFile(archive) as files:
        files.extractall(task)
    api = _RuntimeApi(function)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    with (folder / "stdout").open("wb") as output, (folder / "telemetry").open("wb") as telemetry:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
        environment = {
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_port}",
            "LAMBDA_TASK_ROOT": str(task),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{task}:{layer / 'python'}",
            "TZ": ":UTC",
            "_HANDLER": f"functions.{function}.handler.lambda_handler",
            "_LAMBDA_TELEMETRY_LOG_FD": str(telemetry.fileno()),
            **variables,
        }
        process = subprocess.Popen(
            [RUNTIME.folder / "bin" / "python", "-m", "awslambdaric", environment["_HANDLER"]],
            cwd=task,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[telemetry.fileno()],
        )
        try:
            yield Worker(api, folder, process)
        finally:
            process.kill()
            process.wait()
            api.shutdown()
            api.server_close()
