"""Makes the emulator (ministack) use less CPU, with the same results.

`local.aws.emulator_child` calls `speed_up` in the emulator's process. tests/local/test_emulator_speed.py
compares each replaced function with the emulator's own.
"""

from __future__ import annotations

import copy
import gc
import json
import queue
import socketserver
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

_EXPRESSIONS = 1024  # kept results of a function of an expression or a policy
_PAUSE_OF_EXECUTIONS = 0.15  # seconds that the emulator sleeps before the first state
_IDLE_CHECK = 30.0  # seconds until the thread of a stopped worker ends


def speed_up() -> None:
    """Replaces functions of the emulator. Also sets the garbage collector of this process."""
    _copy_items_quickly()
    _measure_items_quickly()
    _read_expressions_once()
    _read_policies_once()
    _parse_jsonata_once()
    _wait_for_logs_without_polling()
    _start_executions_at_once()
    _serve_runtimes_quickly()
    _collect_garbage_rarely()


def copied(value: Any) -> Any:
    """Returns a deep copy of JSON. `deepcopy` is slow, and each DynamoDB item is copied often."""
    if type(value) is str:
        return value
    if type(value) is dict:
        return {name: copied(each) for name, each in value.items()}
    if type(value) is list:
        return [copied(each) for each in value]
    return copy.deepcopy(value)


def _copy_items_quickly() -> None:
    from ministack.services import dynamodb

    dynamodb.copy = SimpleNamespace(deepcopy=copied)


def _measure_items_quickly() -> None:
    """Counts the bytes of items with fewer calls. Each written item and each one of a page is counted."""
    from ministack.services import dynamodb

    measure_other, measure_number = dynamodb._attribute_value_size, dynamodb._number_size_bytes
    number_size = lru_cache(_EXPRESSIONS)(measure_number)

    def text_size(text: str) -> int:
        return len(text) if text.isascii() else len(text.encode())

    def value_size(value: Any) -> int:
        if type(value) is not dict or len(value) != 1:
            return int(measure_other(value))
        ((kind, content),) = value.items()
        if kind == "S" and type(content) is str:
            return text_size(content)
        if kind == "N" and type(content) is str:
            return int(number_size(content))
        if kind == "M" and type(content) is dict:
            return 3 + sum(1 + text_size(name) + value_size(each) for name, each in content.items())
        if kind == "L" and type(content) is list:
            return 3 + sum(1 + value_size(each) for each in content if isinstance(each, dict))
        return int(measure_other(value))

    def item_size(item: Any) -> int:
        if not isinstance(item, dict):
            return 0
        return sum(text_size(name) + value_size(value) for name, value in item.items())

    dynamodb._attribute_value_size = value_size
    dynamodb._item_size_bytes = item_size


def _read_expressions_once() -> None:
    """Keeps the tokens and the syntax errors of DynamoDB expressions: the same few come with every order."""
    from ministack.services import dynamodb

    tokens = lru_cache(_EXPRESSIONS)(dynamodb._tokenize)
    dynamodb._tokenize = lambda expression: list(tokens(expression))
    dynamodb._condition_syntax_error = lru_cache(_EXPRESSIONS)(dynamodb._condition_syntax_error)


def _read_policies_once() -> None:
    """Keeps the statements of IAM policies. All policies of the caller are read twice per request."""
    from ministack.core import iam_evaluator

    parse = iam_evaluator.parse_policy_document
    statements = lru_cache(_EXPRESSIONS)(parse)

    def parse_policy_document(document: Any) -> list[Any]:
        return list(statements(document) if isinstance(document, str) else parse(document))

    iam_evaluator.parse_policy_document = parse_policy_document


def _parse_jsonata_once() -> None:
    """Keeps the syntax trees of JSONata expressions, which evaluating does not change."""
    from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
    from jsonata.parser import Parser  # type: ignore[import-untyped]

    parser, lock = Parser(), threading.Lock()
    parse = lru_cache(_EXPRESSIONS)(parser.parse)

    def parse_alone(*arguments: Any) -> Any:
        with lock:
            return parse(*arguments)

    parser.parse = parse_alone
    Jsonata.get_parser = staticmethod(lambda: parser)


def _wait_for_logs_without_polling() -> None:
    """Collects the log lines of an invocation as the emulator does, but sleeps until the next line."""
    from ministack.core.lambda_runtime import Worker

    def drain(
        worker: Any, first_line_wait: float = 0.050, idle_confirm: float = 0.005, hard_cap: float = 0.250
    ) -> str:
        lines: list[str] = []
        end, patience = time.monotonic() + hard_cap, first_line_wait
        while (left := end - time.monotonic()) > 0:
            try:
                lines.append(worker._stderr_queue.get(timeout=min(patience, left)))
            except queue.Empty:
                break
            patience = idle_confirm
        return "\n".join(lines)

    Worker._drain_stderr_bounded = drain


def _start_executions_at_once() -> None:
    """Leaves out the pause before the first state, which was two thirds of the time of an order."""
    from ministack.services import stepfunctions

    def sleep(seconds: float) -> None:
        if seconds != _PAUSE_OF_EXECUTIONS:
            time.sleep(seconds)

    stepfunctions.time = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=sleep)


def _serve_runtimes_quickly() -> None:
    """Serves the runtime API of a worker without `http.server`, which parses headers as those of an e-mail.

    Its thread sleeps while there is no event. The emulator's own wakes up ten times a second.
    """
    from ministack.core.lambda_runtime import ProvidedWorker

    def build_handler_class(worker: Any, generation: int, pending: queue.Queue[Any]) -> type:
        own = {"worker": worker, "generation": generation, "pending": pending}
        return type("RuntimeApi", (_RuntimeApi,), own)

    ProvidedWorker._build_handler_class = build_handler_class


class _RuntimeApi(socketserver.StreamRequestHandler):
    """The Lambda runtime API for one process of a function, with the responses of the emulator's own.

    https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
    """

    worker: Any
    generation: int
    pending: queue.Queue[Any]

    def handle(self) -> None:
        """Answers the requests of one connection."""
        while line := self.rfile.readline():
            method, path, _ = line.decode("latin-1").split(" ")
            headers = {}
            while (field := self.rfile.readline()) not in {b"\r\n", b""}:
                name, _, value = field.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self._body(headers)
            if method == "GET" and "/runtime/invocation/next" in path:
                self._send_next()
            elif method == "POST":
                self._send(*self._result(path, body))
            else:
                self._send(404)

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(headers.get("content-length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send_next(self) -> None:
        """Sends the next event when there is one, or that the worker was stopped."""
        event = self._next() if self.worker._mark_first_poll(self.generation) else None
        if event is None:
            self._send(500, b'{"errorMessage":"execution environment stopped"}')
            return
        request, content, deadline, trace, arn = event
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request,
            "Lambda-Runtime-Deadline-Ms": deadline,
            "Lambda-Runtime-Invoked-Function-Arn": arn,
            **({"Lambda-Runtime-Trace-Id": trace} if trace else {}),
        }
        self._send(200, json.dumps(content).encode(), headers)

    def _next(self) -> tuple[Any, ...] | None:
        while not self.worker._stopping and self.generation == self.worker._generation:
            try:
                event: tuple[Any, ...] = self.pending.get(timeout=_IDLE_CHECK)
            except queue.Empty:
                continue
            return event
        return None

    def _result(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Takes the result of an invocation or an error of the start. Returns the status and the body."""
        from ministack.core.lambda_runtime import _INVOCATION_RESULT_RE

        try:
            payload = json.loads(body)
        except ValueError:
            payload = body.decode(errors="replace")
        if "/runtime/init/error" in path:
            self.worker._record_init_error(self.generation, payload)
            return 202, b""
        match = _INVOCATION_RESULT_RE.search(path)
        if not match:
            return 404, b""
        if self.worker._record_result(self.generation, *match.groups(), payload):
            return 202, b""
        return 400, b'{"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}'

    def _send(self, status: int, body: bytes = b"", headers: Mapping[str, object] | None = None) -> None:
        fields = {**(headers or {}), "Content-Type": "application/json", "Content-Length": len(body)}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.wfile.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode() + body)


def _collect_garbage_rarely() -> None:
    """Leaves the many objects of the modules out of the search for garbage, which each request repeats."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
