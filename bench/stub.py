"""A stub of AWS in a separate process. It answers every call at once with a fixed response.

Measurements then include serializing, signing, sending and parsing, but neither the network nor AWS.
`python -m bench.stub` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.samples import BASKET_ITEM, ORDER_ITEM, PRODUCT_ITEM, SHIPPED_ORDER_ITEM, USER_ITEM

_BY_TABLE: Final[dict[str, dict[str, Any]]] = {
    "orders": ORDER_ITEM,
    "products": PRODUCT_ITEM,
    "users": USER_ITEM,
    "baskets": BASKET_ITEM,
}


_COUNT: Final = "CountCalls"


@contextmanager
def aws_stub() -> Iterator[str]:
    """Runs the stub in a separate process. Yields its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.stub"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101  for mypy
        assert process.stdout is not None  # noqa: S101
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def count_calls(endpoint: str) -> int:
    """Returns how many calls the stub at this URL has answered."""
    headers = {"X-Amz-Target": f"Bench.{_COUNT}"}
    with urllib.request.urlopen(  # noqa: S310  loopback
        urllib.request.Request(endpoint, b"{}", headers)  # noqa: S310
    ) as answer:
        return int(json.load(answer)["calls"])


def _item(request: dict[str, Any]) -> dict[str, Any]:
    if request["Key"].get("orderId") == SHIPPED_ORDER_ITEM["orderId"]:
        return dict(SHIPPED_ORDER_ITEM)
    return {**_BY_TABLE[request["TableName"]], **request["Key"]}


def _batch_get(request: dict[str, Any]) -> dict[str, Any]:
    responses = {
        table: [_BY_TABLE[table] | key for key in keys["Keys"]]
        for table, keys in request["RequestItems"].items()
    }
    return {"Responses": responses, "UnprocessedKeys": {}}


ANSWERS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "PutItem": lambda _: {},
    "GetItem": lambda request: {"Item": _item(request)},
    "BatchGetItem": _batch_get,
    "UpdateItem": lambda request: {"Attributes": _BY_TABLE[request["TableName"]] | request["Key"]},
    "TransactWriteItems": lambda _: {},
    "Query": lambda _: {"Items": [], "Count": 0, "ScannedCount": 0},
    "Scan": lambda request: {"Items": [_BY_TABLE[request["TableName"]]], "Count": 1, "ScannedCount": 1},
    "SendMessage": lambda _: {
        "MessageId": "11111111-2222-3333-4444-555555555555",
        "MD5OfMessageBody": "0" * 32,
    },
    "GetQueueAttributes": lambda _: {"Attributes": {"ApproximateNumberOfMessages": "0"}},
    "StartExecution": lambda _: {"executionArn": "arn:aws:states:::execution:x:y", "startDate": 1790000000.0},
    "PutEvents": lambda _: {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
    "GetMetricStatistics": lambda _: {"Label": "x", "Datapoints": []},
    "GetMetricData": lambda _: {"MetricDataResults": [], "Messages": []},
    "DescribeExecution": lambda _: {"status": "SUCCEEDED", "startDate": 1790000000.0},
}


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive: only the parts that botocore uses."""

    calls = 0  # of all connections

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  for mypy
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            headers = dict(
                line.lower().split(b": ", 1)
                for line in self._buffer[:end].split(b"\r\n")[1:]
                if b": " in line
            )
            length = int(headers.get(b"content-length", b"0"))
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(headers[b"x-amz-target"].decode(), body)

    def _answer(self, target: str, body: bytes) -> None:
        operation = target.rpartition(".")[2]
        if operation == _COUNT.lower():
            answer = {"calls": _Connection.calls}
        else:
            _Connection.calls += 1
            operations = {name.lower(): answer for name, answer in ANSWERS.items()}
            answer = operations[operation](json.loads(body))
        content = json.dumps(answer).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: 1\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        assert self._transport is not None  # noqa: S101  for mypy
        self._transport.write(head.encode() + content)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
