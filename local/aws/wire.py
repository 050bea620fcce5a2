"""A tap on the wire between the deployed functions and the embedded AWS.

Each function is pointed at a server of its own that passes every call on to the emulator. So it is known who
calls, and what is seen is what botocore sent from a function that runs in its own process under its own role.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from local.aws.emulator import Endpoint

# What a signature's scope calls a service -> what botocore calls it.
_SERVICES: Final = {
    "dynamodb": "dynamodb",
    "events": "events",
    "monitoring": "cloudwatch",
    "secretsmanager": "secretsmanager",
    "sqs": "sqs",
    "states": "stepfunctions",
}
# The variables by which botocore finds each service's own endpoint.
_ENDPOINTS: Final = (
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_EVENTBRIDGE",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SFN",
    "AWS_ENDPOINT_URL_SQS",
)
_HOP_BY_HOP: Final = {"connection", "content-length", "date", "server", "transfer-encoding"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call: the function that makes it, the service by its name in botocore, operation and parameters."""

    function: str
    service: str
    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the emulator answers."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes

    @property
    def body(self) -> dict[str, Any] | None:
        """The decoded answer to a call that was done; None for a refusal. Only for services that answer in
        JSON, which CloudWatch does not."""
        if self.status >= 400:
            return None
        decoded: dict[str, Any] = json.loads(self.content) if self.content else {}
        return decoded

    @property
    def error(self) -> str:
        """The code of a refusal, "" for none; as `body` for JSON only."""
        if self.status < 400:
            return ""
        return str(json.loads(self.content).get("__type", self.status)).rpartition("#")[2]


Tap = Callable[[Request, Callable[[], Response]], Response]
"""Sees a call, lets it through (or not), and answers what the function is to get."""


class _Handler(BaseHTTPRequestHandler):
    """Serves one function."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    function: str
    upstream: str
    tap: Tap

    def do_POST(self) -> None:
        """Pass a call on, through the tap."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        response = type(self).tap(self._request(body), partial(self._pass_on, body))
        self.send_response(response.status)
        for name, value in response.headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def _request(self, body: bytes) -> Request:
        scope = self.headers["Authorization"].split("Credential=")[1].split("/")[3]
        # The protocols with JSON name the operation in a header, CBOR in the path.
        target = self.headers["X-Amz-Target"]
        return Request(
            function=self.function,
            service=_SERVICES[scope],
            operation=target.rpartition(".")[2] if target else self.path.rpartition("/")[2],
            parameters=json.loads(body) if target else {},
        )

    def _pass_on(self, body: bytes) -> Response:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            connection.request("POST", self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            return Response(status=response.status, headers=response.getheaders(), content=response.read())
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing."""


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback in a thread; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tapped(endpoint: Endpoint, functions: Mapping[str, str], tap: Tap) -> Iterator[None]:
    """All calls of these functions (physical names by logical ones) go through `tap`, several at once, and
    fail when this has ended."""
    client = endpoint.client("lambda")
    with ExitStack() as servers:
        for function, name in functions.items():
            own = {"function": function, "upstream": urlsplit(endpoint.url).netloc, "tap": staticmethod(tap)}
            url = servers.enter_context(serving(type("Handler", (_Handler,), own)))
            told = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": told | dict.fromkeys(_ENDPOINTS, url)}
            )
        yield
