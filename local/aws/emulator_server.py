"""Serves the usual requests to the emulator (ministack) with less CPU than its own server, hypercorn.

A usual request is a whole HTTP/1.1 request with a body of known length. Every other request, and all that
follows on its connection, is left to hypercorn: malformed ones, chunks, upgrades and `Expect`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from hypercorn.asyncio import run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.utils import suppress_body

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST = re.compile(rb"(%b) ([!-~]+) HTTP/1\.1\r\n((?:%b:[\t -~\x80-\xff]*\r\n)*)\r\n" % (_TOKEN, _TOKEN))
_BLANK_LINE = re.compile(rb"\n\r?\n")
_MAX_HEAD = 16_384  # bytes, hypercorn's limit
_UNUSUAL = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"http2-settings"})
_READ = 65_536  # bytes
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_FAILURE = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def serve_quickly() -> None:
    """Replaces the server of each connection to the emulator."""
    run.TCPServer = _Server  # type: ignore[attr-defined]


class _Server(TCPServer):
    """The server of one connection."""

    async def run(self) -> None:
        """Answers requests until the client or an unusual request ends it."""
        self._data = b""
        try:
            while request := await self._next_request():
                if not await self._answer(*request):
                    self.writer.close()
                    return
        except OSError:
            self.writer.close()
            return
        if not self._data:
            self.writer.close()
            return
        self.reader._buffer[:0] = self._data  # type: ignore[attr-defined]  # hypercorn reads it again
        await super().run()

    async def _next_request(self) -> tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes] | None:
        """Returns method, target, header fields and body of a usual request, or None.

        What was read of another request is in `_data`.
        """
        while not _BLANK_LINE.search(self._data):
            if len(self._data) > _MAX_HEAD or not await self._read_more():
                return None
        matched = _REQUEST.match(self._data)
        if not matched or matched.end() > _MAX_HEAD:
            return None
        method, target, lines = matched.groups()
        fields = []
        for line in lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip(b" \t")))
        length = _body_length(fields)
        if length is None or method in {b"CONNECT", b"PRI"}:
            return None
        whole = matched.end() + length
        while len(self._data) < whole:
            if not await self._read_more():
                return None
        body, self._data = self._data[matched.end() : whole], self._data[whole:]
        return method, target, fields, body

    async def _read_more(self) -> bool:
        data = await self.reader.read(_READ)
        self._data += data
        return bool(data)

    async def _answer(
        self, method: bytes, target: bytes, fields: list[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Answers one request. Returns whether the connection stays open."""
        path, _, query = target.partition(b"?")
        socket = self.writer.get_extra_info("socket")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": method.decode().upper(),
            "scheme": "http",
            "path": unquote(path.decode()),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": fields,
            "client": self.writer.get_extra_info("peername")[:2],
            "server": socket.getsockname()[:2],
            "state": {},
            "extensions": {},
        }
        is_last = (b"connection", b"close") in [(name, value.lower()) for name, value in fields]
        exchange = _Exchange(self, scope["method"], body, is_last)
        try:
            # A task of its own has context variables of its own.
            app = self.app.app  # type: ignore[attr-defined]
            await self.loop.create_task(app(scope, exchange.receive, exchange.send))
        except Exception:  # noqa: BLE001  any of the emulator is an internal error
            traceback.print_exc()
        if not exchange.is_complete:
            if not exchange.is_started:
                self.writer.write(_FAILURE)
            return False
        await self.writer.drain()
        return not is_last


def _body_length(fields: list[tuple[bytes, bytes]]) -> int | None:
    """Returns the length of the body in bytes, or None if the fields are not those of a usual request."""
    named = dict(fields)
    length = named.get(b"content-length", b"0")
    is_usual = (
        len(named) == len(fields)
        and b"host" in named
        and _UNUSUAL.isdisjoint(named)
        and named.get(b"connection", b"keep-alive").lower() in {b"keep-alive", b"close"}
        and length.isdigit()
        and len(length) < 9
    )
    return int(length) if is_usual else None


class _Exchange:
    """One request and its response, as the emulator reads and sends them (ASGI)."""

    def __init__(self, server: _Server, method: str, body: bytes, is_last: bool) -> None:
        self._server = server
        self._method = method
        self._body: bytes | None = body
        self._is_last = is_last
        self._head = b""
        self._is_chunked = self._has_body = False
        self.is_started = self.is_complete = False

    async def receive(self) -> dict[str, Any]:
        """Returns the body, then that the client has gone."""
        body, self._body = self._body, None
        if body is None:
            while not self.is_complete and await self._server._read_more():
                pass
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends the head of the response with the first part of its body, and each part after that."""
        if message["type"] == "http.response.start":
            self._head = self._new_head(int(message["status"]), message.get("headers", []))
            return
        data, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if not self._has_body:
            data = b""
        elif self._is_chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"" if more else b"0\r\n\r\n")
        self._server.writer.write(self._head + data)
        self._head, self.is_started, self.is_complete = b"", True, not more
        if more:
            await self._server.writer.drain()

    def _new_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        fields = [(bytes(name).lower().strip(), bytes(value).strip()) for name, value in headers]
        names = {name for name, _ in fields}
        self._has_body = not suppress_body(self._method, status)
        self._is_chunked = self._has_body and b"content-length" not in names
        if self._is_chunked and b"transfer-encoding" not in names:
            fields.append((b"transfer-encoding", b"chunked"))
        if self._is_last:
            fields.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % field for field in fields]
        head = b"".join(lines)
        if head.count(b"\r") != len(lines) or head.count(b"\n") != len(lines) or b"\0" in head:
            raise ValueError("a header field has a line break or a null")
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _PHRASES.get(status, b""), head)
