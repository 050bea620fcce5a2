"""How many requests the API answers on the embedded AWS, and how long each takes: `python -m bench.api`.

One process sends, with one kept-alive connection per client, each its next request as soon as the last is
answered. The emulator, the functions and, for POST /orders, the workflows that follow share the machine with
it, so the figures tell how the local mode feels and where it bends, not what AWS would do.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

from bench.report import console, machine, table, write
from local.stack import RunningStack, running_stack

CLIENTS: Final = (1, 4, 10)
_SECONDS: Final = 8.0  # per measurement
_WARM_UP: Final = 3  # requests per client before it, for every worker process to have started
_PATIENCE: Final = 120.0  # seconds for the workflows of one measurement to end before the next

# Method, path, body.
Request = tuple[str, str, dict[str, object] | None]


def api() -> bool:
    """Measure placing and reading orders; answers whether every request succeeded."""
    rows, results = [], []
    with running_stack() as stack:
        user = _create(stack, "/users", {"name": "Bench", "email": "bench@example.com"})["userId"]
        product = _create(stack, "/products", {"title": "Lamp", "price": 1999, "stock": 1_000_000})[
            "productId"
        ]
        body: dict[str, object] = {"userId": user, "items": [{"productId": product, "quantity": 1}]}
        order = _create(stack, "/orders", body)["orderId"]
        _await_quiet(stack)
        for name, wanted, request in (
            ("GET /orders/{orderId}", 200, ("GET", f"/orders/{order}", None)),
            ("POST /orders", 201, ("POST", "/orders", body)),
        ):
            for clients in CLIENTS:
                result = _measure(stack, clients, request, wanted)
                _await_quiet(stack)
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
        "The API on the embedded AWS",
        ["request", "clients", "requests/s", "p50, ms", "p99, ms", "requests", "failed"],
        rows,
        f"{_SECONDS:.0f} s each, warmed up. POST /orders shares the machine with the workflows it starts.",
    )
    write("api", {"measurements": results})
    return not any(result["failed"] for result in results)


def _measure(stack: RunningStack, clients: int, request: Request, wanted: int) -> dict[str, Any]:
    def warm_up(_: int) -> None:
        send = _client(stack)
        for _ in range(_WARM_UP):
            send(request)

    def work(_: int) -> list[tuple[float, int]]:
        send = _client(stack)
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
        "failed": sum(status != wanted for _, status in answers),
    }


def _client(stack: RunningStack) -> Callable[[Request], tuple[int, bytes]]:
    """Sends requests over a connection of its own; answers status and body."""
    base = urlsplit(stack.api_url)
    connection = http.client.HTTPConnection(base.netloc, timeout=30)
    headers = {"x-api-key": stack.api_keys["paid"], "content-type": "application/json"}

    def send(request: Request) -> tuple[int, bytes]:
        method, path, body = request
        connection.request(method, base.path + path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    return send


def _create(stack: RunningStack, path: str, body: dict[str, object]) -> Any:
    status, created = _client(stack)(("POST", path, body))
    if status != 201:
        raise RuntimeError(f"POST {path} answered {status}: {created.decode()}")
    return json.loads(created)


def _await_quiet(stack: RunningStack) -> None:
    """Wait until the workflows that were started have ended."""
    machine_arn = stack.outputs["stateMachineArn"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + _PATIENCE
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
    raise RuntimeError(f"the workflows have not ended within {_PATIENCE:.0f} s")


def main() -> int:
    """Measure, print the table, keep the figures."""
    console.print(f"[dim]{', '.join(machine().values())}[/dim]")
    return 0 if api() else 1


if __name__ == "__main__":
    sys.exit(main())
