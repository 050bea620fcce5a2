"""Intercepts the AWS calls of deployed functions.

Each function gets its own proxy in front of the emulator, which identifies the caller. The intercepted
requests are those that botocore sends from the function's process, under the function's role.
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
# botocore reads each service's endpoint from these variables.
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
    """An intercepted AWS call."""

    function: str  # logical name of the caller
    service: str  # botocore's name
    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response of the emulator."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes

    @property
    def body(self) -> dict[str, Any] | None:
        """The decoded body, or None after an error. Not for CloudWatch, which does not respond in JSON."""
        if self.status >= 400:
            return None
        decoded: dict[str, Any] = json.loads(self.content) if self.content else {}
        return decoded

    @property
    def error(self) -> str:
        """The error code, or "" after a success. Not for CloudWatch."""
        if self.status < 400:
            return ""
        return str(json.loads(self.content).get("__type", self.status)).rpartition("#")[2]


Interceptor = Callable[[Request, Callable[[], Response]], Response]
"""Takes a request and a function that forwards it. Returns the response for the caller."""


class _Handler(BaseHTTPRequestHandler):
    """The proxy of one function."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    function: str
    upstream: str
    intercept: Interceptor

    def do_POST(self) -> None:
        """Answers a request with the interceptor's response."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        response = type(self).intercept(self._request(body), partial(self._forward, body))
        self.send_response(response.status)
        for name, value in response.headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def _request(self, body: bytes) -> Request:
        scope = self.headers["Authorization"].split("Credential=")[1].split("/")[3]
        # JSON protocols name the operation in a header, CBOR in the path.
        target = self.headers["X-Amz-Target"]
        return Request(
            function=self.function,
            service=_SERVICES[scope],
            operation=target.rpartition(".")[2] if target else self.path.rpartition("/")[2],
            parameters=json.loads(body) if target else {},
        )

    def _forward(self, body: bytes) -> Response:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            connection.request("POST", self.path, body, dict(self.headers.items()))
            response = connection.getresponse()
            return Response(status=response.status, headers=response.getheaders(), content=response.read())
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Logs nothing."""


@contextmanager
def serve_in_thread(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Runs a server on loopback in a thread. Yields its URL."""
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
def intercept_calls(
    endpoint: Endpoint, functions: Mapping[str, str], interceptor: Interceptor
) -> Iterator[None]:
    """Sends all AWS calls of these functions (logical name -> physical name) through the interceptor.

    The interceptor is called from several threads at once. After the `with` block the functions' calls fail.
    """
    client = endpoint.client("lambda")
    with ExitStack() as servers:
        for function, name in functions.items():
            own = {
                "function": function,
                "upstream": urlsplit(endpoint.url).netloc,
                "intercept": staticmethod(interceptor),
            }
            url = servers.enter_context(serve_in_thread(type("Handler", (_Handler,), own)))
            variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            client.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables | dict.fromkeys(_ENDPOINTS, url)}
            )
        yield
