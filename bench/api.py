"""Measures the throughput and the latency of the API: `python -m bench.api`.

Without options it starts an embedded AWS. The emulator, functions and workflows share the machine with the
clients, so the figures do not apply to AWS. With `--url` and the environment variable API_KEY it measures a
deployed stack, and creates a user, a product and orders there.

One process sends all requests. Each client has one kept-alive connection with one request at a time.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from bench.report import console, machine, table, write
from local.stack import RunningStack, running_stack

CLIENTS: Final = (1, 4, 10)
_SECONDS: Final = 8.0  # per measurement
_WARM_UP: Final = 3  # requests per client before each measurement, which start the worker processes
_IDLE_TIMEOUT: Final = 120.0  # seconds until the workflows of a measurement must have ended

# Method, path, body.
Request = tuple[str, str, dict[str, object] | None]


@dataclass(frozen=True)
class Endpoint:
    """The API to measure."""

    url: str
    key: str
    wait_until_idle: Callable[[], None]  # returns when the workflows have ended


def api() -> bool:
    """Measures the API on the embedded AWS. Returns whether every request succeeded."""
    with running_stack() as stack:
        endpoint = Endpoint(stack.api_url, stack.api_keys["paid"], lambda: _wait_until_idle(stack))
        return measure(endpoint, "The API on the embedded AWS")


def measure(endpoint: Endpoint, title: str) -> bool:
    """Measures reads and creations of orders. Returns whether every request succeeded."""
    rows, results = [], []
    user = _create(endpoint, "/users", {"name": "Bench", "email": f"{uuid.uuid4()}@example.com"})["userId"]
    product = _create(endpoint, "/products", {"title": "Lamp", "price": 1999, "stock": 1_000_000})
    body: dict[str, object] = {
        "userId": user,
        "items": [{"productId": product["productId"], "quantity": 1}],
    }
    order = _create(endpoint, "/orders", body)["orderId"]
    endpoint.wait_until_idle()
    for name, expected, request in (
        ("GET /orders/{orderId}", 200, ("GET", f"/orders/{order}", None)),
        ("POST /orders", 201, ("POST", "/orders", body)),
    ):
        for clients in CLIENTS:
            result = _measure(endpoint, clients, request, expected)
            endpoint.wait_until_idle()
            results.append({"request": name, "clients": clients, **result})
            rows.append(
                [
                    name,
                    str(clients),
                    f"{result['perSecond']:.0f}",
                    f"{result['p50'] * 1e3:.1f}",
                    f"{result['p99'] * 1e3:.1f}",
                    f"{result['requests']:,}",
                    str(result["failed"]),
                ]
            )
    table(
        title,
        ["request", "clients", "requests/s", "p50, ms", "p99, ms", "requests", "failed"],
        rows,
        f"{_SECONDS:.0f} s each, warmed up. POST /orders shares a machine with the workflows it starts.",
    )
    write("api", {"measurements": results})
    return not any(result["failed"] for result in results)


def _measure(endpoint: Endpoint, clients: int, request: Request, expected: int) -> dict[str, Any]:
    def warm_up(_: int) -> None:
        send = _client(endpoint)
        for _ in range(_WARM_UP):
            send(request)

    def work(_: int) -> list[tuple[float, int]]:
        send = _client(endpoint)
        answers = []
        while (start := time.perf_counter()) < end:
            status, _body = send(request)
            answers.append((time.perf_counter() - start, status))
        return answers

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(warm_up, range(clients)))
        begin = time.perf_counter()
        end = begin + _SECONDS
        answers = [answer for client in pool.map(work, range(clients)) for answer in client]
        took = time.perf_counter() - begin
    seconds = sorted(seconds for seconds, _ in answers)
    return {
        "requests": len(answers),
        "perSecond": len(answers) / took,
        "p50": seconds[len(seconds) // 2],
        "p99": seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))],
        "failed": sum(status != expected for _, status in answers),
    }


def _client(endpoint: Endpoint) -> Callable[[Request], tuple[int, bytes]]:
    """Returns a function that sends requests over one connection and returns status and body."""
    base = urlsplit(endpoint.url)
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.netloc, timeout=30)
    headers = {"x-api-key": endpoint.key, "content-type": "application/json"}

    def send(request: Request) -> tuple[int, bytes]:
        method, path, body = request
        connection.request(method, base.path + path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    return send


def _create(endpoint: Endpoint, path: str, body: dict[str, object]) -> Any:
    status, created = _client(endpoint)(("POST", path, body))
    if status != 201:
        raise RuntimeError(f"POST {path} returned {status}: {created.decode()}")
    return json.loads(created)


def _wait_until_idle(stack: RunningStack) -> None:
    """Returns when all workflows have ended. Raises RuntimeError after `_IDLE_TIMEOUT`."""
    machine_arn = stack.outputs["stateMachineArn"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + _IDLE_TIMEOUT
    while time.monotonic() < deadline:
        waiting = stack.client("sqs").get_queue_attributes(
            QueueUrl=stack.outputs["queueUrl"], AttributeNames=names
        )["Attributes"]
        running = stack.client("stepfunctions").list_executions(
            stateMachineArn=machine_arn, statusFilter="RUNNING", maxResults=1
        )["executions"]
        if not running and not any(int(waiting[name]) for name in names):
            return
        time.sleep(0.5)
    raise RuntimeError(f"the workflows have not ended within {_IDLE_TIMEOUT:.0f} s")


def main() -> int:
    """Measures, prints the table, and writes the figures to `.build/bench/`."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description="Measure the API.")
    parser.add_argument("--url", help="apiUrl of a deployed stack; API_KEY has its key")
    url = parser.parse_args().url
    console.print(f"[dim]{', '.join(machine().values())}[/dim]")
    if url is None:
        return 0 if api() else 1
    if not (key := os.environ.get("API_KEY")):
        parser.error("--url needs an API key in the environment variable API_KEY")
    endpoint = Endpoint(url.rstrip("/"), key, lambda: None)
    return 0 if measure(endpoint, f"The API of {url}") else 1


if __name__ == "__main__":
    sys.exit(main())
