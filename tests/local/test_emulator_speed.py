"""The faster functions of the emulator return what the emulator's own return."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import socketserver
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
from ministack.core import iam_evaluator
from ministack.core.lambda_runtime import ProvidedWorker, Worker
from ministack.services import dynamodb, stepfunctions

from local.aws import emulator_speed

_LEAVES = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=8)),
    st.builds(lambda number: {"N": str(number)}, st.decimals(allow_nan=False, allow_infinity=False)),
    st.sampled_from(
        [{"BOOL": True}, {"NULL": True}, {"B": "aGk="}, {"SS": ["a", "é"]}, {"NS": ["1", "-2.5"]}]
    ),
    st.sampled_from([{}, {"N": 7}, {"N": True}, {"L": [1, {"S": "a"}]}, {"S": "a", "N": "1"}, "S", None]),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda each: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(each, max_size=3)),
        st.builds(lambda values: {"M": values}, st.dictionaries(st.text(max_size=4), each, max_size=3)),
    ),
    max_leaves=8,
)
_EXPRESSIONS = st.lists(
    st.sampled_from(
        ["a", "#n", ":v", "=", "<>", "(", ")", "AND", "NOT", "BETWEEN", "size", ".", "[", "1", "]"]
    ),
    max_size=8,
).map(" ".join)


def _with(speed_up: Callable[[], None], module: ModuleType | type, *names: str) -> list[Any]:
    """Returns the functions with these names after a change, which it then takes back."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(module, name, getattr(module, name)))
        speed_up()
        return [getattr(module, name) for name in names]


@given(_VALUES)
def test_a_copy_is_equal_and_shares_no_container(value: Any) -> None:
    copied = emulator_speed.copied(value)
    assert copied == value
    assert copied is not value or not isinstance(value, dict)
    for own, original in zip(_containers(copied), _containers(value), strict=True):
        assert own is not original


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _containers(each)


_SIZES = _with(emulator_speed._measure_items_quickly, dynamodb, "_attribute_value_size", "_item_size_bytes")


@given(st.dictionaries(st.text(max_size=4), _VALUES, max_size=4))
def test_an_item_has_the_same_size(item: dict[str, Any]) -> None:
    of_value, of_item = _SIZES
    assert of_item(item) == dynamodb._item_size_bytes(item)
    assert [of_value(value) for value in item.values()] == [
        dynamodb._attribute_value_size(value) for value in item.values()
    ]


_READERS = _with(emulator_speed._read_expressions_once, dynamodb, "_tokenize", "_condition_syntax_error")


@given(_EXPRESSIONS)
def test_an_expression_has_the_same_tokens_and_error_each_time(expression: str) -> None:
    tokens, error = _READERS
    for _ in range(2):
        read = tokens(expression)
        assert read == dynamodb._tokenize(expression)
        read.clear()
        assert error(expression, "Slot") == dynamodb._condition_syntax_error(expression, "Slot")


@pytest.mark.parametrize(
    "statements",
    [
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
        [{"Effect": "Deny", "NotAction": ["a:b"], "NotResource": "x", "Condition": {"Bool": {"a": "b"}}}, 1],
        "broken",
    ],
)
def test_a_policy_has_the_same_statements_each_time(statements: Any) -> None:
    (parse,) = _with(emulator_speed._read_policies_once, iam_evaluator, "parse_policy_document")
    document = {"Statement": statements}
    for each in (document, json.dumps(document), json.dumps(document), "no JSON"):
        parsed = parse(each)
        assert parsed == iam_evaluator.parse_policy_document(each)
        parsed.clear()


@pytest.mark.parametrize(
    "expression",
    ["$states.input.a", "$map($states.input.b, function($x) { $x * $n })", "$missing", "{'a': $n}"],
)
def test_a_jsonata_expression_has_the_same_value_each_time_and_in_each_thread(expression: str) -> None:
    (get_parser,) = _with(emulator_speed._parse_jsonata_once, Jsonata, "get_parser")
    inputs = [{"a": 1, "b": [1, 2]}, {"a": [3], "b": [4]}, {"b": []}]

    def values() -> list[Any]:
        return [
            Jsonata.jsonata(expression, timeout=1000).evaluate(None, {"n": 2, "states": {"input": each}})
            for each in inputs
        ]

    expected = values()
    found: list[Any] = []
    with patch.object(Jsonata, "get_parser", get_parser):
        found.append(values())
        thread = threading.Thread(target=lambda: found.append(values()))
        thread.start()
        thread.join()
        with pytest.raises(Exception, match="Syntax error"):
            Jsonata.jsonata("a b")
        found.append(values())
    assert found == [expected] * 3


def test_all_log_lines_of_an_invocation_are_collected() -> None:
    (drain,) = _with(emulator_speed._wait_for_logs_without_polling, Worker, "_drain_stderr_bounded")
    lines: queue.Queue[str] = queue.Queue()
    worker = SimpleNamespace(_stderr_queue=lines)
    threading.Timer(0.02, lambda: list(map(lines.put, "abc"))).start()
    assert drain(worker, first_line_wait=5.0) == "a\nb\nc"
    assert drain(worker) == ""


@pytest.fixture(params=[True, False], ids=["faster", "own"])
def runtime_api(
    request: pytest.FixtureRequest,
) -> Iterator[tuple[ProvidedWorker, http.client.HTTPConnection]]:
    """A worker whose process is the test, and the connection to its runtime API."""
    (fast,) = _with(emulator_speed._serve_runtimes_quickly, ProvidedWorker, "_build_handler_class")
    worker = ProvidedWorker("name", {}, b"")
    worker._stopping = False
    build = fast if request.param else ProvidedWorker._build_handler_class
    handler = build(worker, worker._generation, worker._pending)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
        yield worker, connection
        connection.close()
        server.shutdown()


def _ask(connection: http.client.HTTPConnection, *request: Any) -> tuple[int, Any, http.client.HTTPMessage]:
    connection.request(*request)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


_API = "/2018-06-01/runtime"


def test_an_execution_starts_without_a_pause_and_waits_as_long_as_its_states_say() -> None:
    (clock,) = _with(emulator_speed._start_executions_at_once, stepfunctions, "time")
    with patch("time.sleep") as slept, patch.object(stepfunctions, "time", clock):
        stepfunctions._run_execution("no such execution")
        stepfunctions._scaled_sleep(2)
        execution = {"stateMachineArn": "gone", "status": "RUNNING"}
        with (
            patch.dict(stepfunctions._executions, {"e": execution}),
            patch.object(stepfunctions, "_fail_execution") as fail,
        ):
            stepfunctions._run_execution("e")
        fail.assert_called_once()
    slept.assert_called_once_with(2)


def test_the_runtime_api_hands_out_events_and_takes_results(
    runtime_api: tuple[ProvidedWorker, http.client.HTTPConnection],
) -> None:
    worker, connection = runtime_api
    for body, result in (
        (b'{"a": 1}', {"a": 1}),
        (b"no JSON", "no JSON"),
        (iter([b'{"a"', b": 2}"]), {"a": 2}),
    ):
        worker._current_request_id = "r1"
        worker._pending.put(("r1", {"e": "é"}, 17, "t", "arn"))
        status, content, headers = _ask(connection, "GET", f"{_API}/invocation/next")
        assert (status, json.loads(content)) == (200, {"e": "é"})
        sent = {
            name: headers[f"Lambda-Runtime-{name}"] for name in ("Aws-Request-Id", "Deadline-Ms", "Trace-Id")
        }
        assert sent == {"Aws-Request-Id": "r1", "Deadline-Ms": "17", "Trace-Id": "t"}
        assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn"
        assert _ask(connection, "POST", f"{_API}/invocation/r1/response", body)[0] == 202
        assert worker._result == {"response": result}
    worker._current_request_id = "r2"
    assert _ask(connection, "POST", f"{_API}/invocation/r2/error", b'{"errorType": "E"}')[0] == 202
    assert worker._result == {"error": {"errorType": "E"}}


def test_the_runtime_api_refuses_other_requests(
    runtime_api: tuple[ProvidedWorker, http.client.HTTPConnection],
) -> None:
    worker, connection = runtime_api
    worker._current_request_id = "r1"
    status, content, _ = _ask(connection, "POST", f"{_API}/invocation/r0/response", b"{}")
    assert (status, json.loads(content)["errorType"]) == (400, "InvalidRequestID")
    assert _ask(connection, "GET", f"{_API}/unknown")[0] == 404
    assert _ask(connection, "POST", f"{_API}/unknown", b"{}")[0] == 404
    assert _ask(connection, "POST", f"{_API}/init/error", b'{"errorType": "E"}')[0] == 202
    assert worker._init_error == {"errorType": "E"}
    worker._stopping = True
    status, content, _ = _ask(connection, "GET", f"{_API}/invocation/next")
    assert (status, json.loads(content)) == (500, {"errorMessage": "execution environment stopped"})
