"""The emulator's faster server answers every connection as hypercorn does."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from hypercorn.asyncio import run, serve
from hypercorn.config import Config

from local.aws.emulator_server import _Server

_END = b"GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
_CHUNKS = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it received, as the path says."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"].rpartition("/")[2]
    if path == "error":
        raise RuntimeError("an error")
    kept = ("method", "path", "raw_path", "query_string", "http_version", "scheme", "headers")
    content = json.dumps([{name: str(scope[name]) for name in kept}, body.decode("latin-1")]).encode()
    headers = [(b"X-Two", b" 1 "), (b"x-two", b"2")]
    if path == "broken":
        headers.append((b"x-broken", b"a\r\nb: c"))
    if path == "stream":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": True})
        await send({"type": "http.response.body", "body": b"end", "more_body": True})
        await send({"type": "http.response.body"})
        return
    status = int(path) if path.isdigit() else 200
    length = 0 if status == 204 else len(content)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"Content-Length", str(length).encode())],
        }
    )
    await send({"type": "http.response.body", "body": b"" if status == 204 else content})


@contextmanager
def _serving(server: type) -> Iterator[int]:
    """Serves the app with the server of a connection. Yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = Config()
    config.bind, config.include_date_header, config.include_server_header = (
        [f"127.0.0.1:{port}"],
        False,
        False,
    )
    config.loglevel, config.graceful_timeout = "CRITICAL", 0.1
    stop = threading.Event()

    def run_server() -> None:
        asyncio.run(serve(_app, config, shutdown_trigger=lambda: asyncio.to_thread(stop.wait)))

    with patch.object(run, "TCPServer", server):
        thread = threading.Thread(target=run_server, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join()


def _answer(port: int, parts: list[bytes]) -> bytes:
    """Sends the parts one after the other. Returns all that the server sent until it closed."""
    for _ in range(100):
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    with connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.02 if len(parts) > 1 else 0)
        received = b""
        while data := connection.recv(65_536):
            received += data
    return re.sub(rb"HTTP/1.1 (\d+)[^\r]*", rb"HTTP/1.1 \1", received)


_CONVERSATIONS = {
    "one request": [_END],
    "several requests": [b"GET /a%20b?x=1&y HTTP/1.1\r\nHost: h\r\nX-A:  b \r\n\r\n", _END],
    "requests at once": [b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n" * 3 + _END],
    "a body in parts": [b"POST /a HTTP/1.1\r\nHo", b"st: h\r\nContent-Length: 5\r\n\r\nab", b"cde" + _END],
    "the head of a page": [b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", _END],
    "no content": [b"DELETE /204 HTTP/1.1\r\nHost: h\r\n\r\n", _END],
    "an error of the client": [b"get /404 HTTP/1.1\r\nHost: h\r\n\r\n", _END],
    "a status without a phrase": [b"GET /499 HTTP/1.1\r\nHost: h\r\n\r\n", _END],
    "an answer in parts": [b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n", _END],
    "an exception": [b"GET /error HTTP/1.1\r\nHost: h\r\n\r\n"],
    "a broken header of the answer": [b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n"],
    "bytes above ASCII": [b"GET /a HTTP/1.1\r\nHost: h\r\nX-A: \xe9\r\n\r\n", _END],
    "chunks": [_CHUNKS, _END],
    "usual requests, then chunks": [b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n" + _CHUNKS, _CHUNKS + _END],
    "expect": [
        b"PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        b"a" + _END,
    ],
    "a field twice": [b"GET /a HTTP/1.1\r\nHost: h\r\nCookie: a\r\nCookie: b\r\n\r\n", _END],
    "HTTP/1.0": [b"GET /a HTTP/1.0\r\n\r\n"],
    "lines without a carriage return": [b"GET /a HTTP/1.1\nHost: h\nConnection: close\n\n"],
    "no host": [b"GET /a HTTP/1.1\r\n\r\n"],
    "two lengths": [b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    "a length that is no number": [b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"],
    "a space before the colon": [b"GET /a HTTP/1.1\r\nHost : h\r\n\r\n"],
    "a control character": [b"GET /a HTTP/1.1\r\nHost: h\r\nX-A: \x01\r\n\r\n", _END],
    "a target above ASCII": [b"GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n"],
    "a large head": [b"GET /a HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n"],
    "no HTTP": [b"hello\r\n\r\n"],
}


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of hypercorn and of the faster server."""
    with _serving(run.TCPServer) as own, _serving(_Server) as fast:  # type: ignore[attr-defined]
        yield own, fast


@pytest.mark.parametrize("name", _CONVERSATIONS)
def test_the_answers_are_those_of_hypercorn(ports: tuple[int, int], name: str) -> None:
    own, fast = (_answer(port, _CONVERSATIONS[name]) for port in ports)
    assert fast == own
    assert own.startswith(b"HTTP/1.1 ")
