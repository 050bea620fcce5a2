"""Load on a deployed stack, by locust: a mix of creating, reading, listing and cancelling orders.

    locust -f bench/load.py --headless --host "$API_URL" --api-key "$API_KEY" \\
        --users 20 --spawn-rate 1 --run-time 5m

`API_URL` is the stack's export `apiUrl`; the key's usage plan must allow the rate. The users come one by
one (`--spawn-rate` a second: the ramp). The summary has p50, p95 and p99 of each request and of the time from
POST to FULFILLED, and the errors by status. It creates a user and products of its own and leaves them there.
`python -m bench load` runs it against the embedded AWS.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from typing import Any

import gevent  # type: ignore[import-untyped]
import requests
from locust import FastHttpUser, between, events, task

_PRODUCTS = 50
_PATIENCE = 60.0  # seconds until an order that is not final counts as lost
_FINAL = frozenset({"FULFILLED", "REJECTED", "CANCELLED", "FAILED"})

_errors: Counter[tuple[str, str, int]] = Counter()


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_options(parser: Any) -> None:
    parser.add_argument(
        "--api-key",
        default=os.environ.get("API_KEY", ""),
        is_secret=True,
        help="The key with which the API is called; by default from the environment variable API_KEY.",
    )


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _prepare(environment: Any, **_: Any) -> None:
    """Make what all users share: one customer, and products with more stock than will be sold."""
    headers = {"x-api-key": environment.parsed_options.api_key}
    host = environment.host.rstrip("/")

    def create(path: str, body: dict[str, object]) -> Any:
        answer = requests.post(host + path, json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    environment.customer = create("/users", {"name": "Load", "email": "load@example.com"})["userId"]
    environment.products = [
        create("/products", {"title": f"Load {number}", "price": 1999, "stock": 1_000_000})["productId"]
        for number in range(_PRODUCTS)
    ]


@events.request.add_listener  # type: ignore[untyped-decorator]
def _count(request_type: str, name: str, response: Any, exception: Any, **_: Any) -> None:
    status = getattr(response, "status_code", 0) or 0
    if exception is not None or status >= 400:
        _errors[request_type, name, status] += 1


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _tell_errors(**_: Any) -> None:
    print("\nErrors by status" if _errors else "\nNo errors")
    for (kind, name, status), count in sorted(_errors.items()):
        print(f"  {status or 'no answer'}  {count:6}  {kind} {name}")


class Client(FastHttpUser):
    """One client of the API."""

    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """Begin with one order, so that there is something to read."""
        self._orders: list[str] = []
        self._headers = {"x-api-key": self.environment.parsed_options.api_key}
        self.create()

    @task(5)
    def create(self) -> None:
        """Place an order and see it to its end, beside all else."""
        lines = random.sample(self.environment.products, 2)
        start = time.perf_counter()
        answer = self._call(
            "POST",
            "/orders",
            {
                "userId": self.environment.customer,
                "items": [{"productId": product, "quantity": 1} for product in lines],
            },
        )
        if answer is not None:
            self._orders.append(answer["orderId"])
            gevent.spawn(self._follow, answer["orderId"], start)

    @task(3)
    def read(self) -> None:
        """Look at one of the last orders."""
        if self._orders:
            order = random.choice(self._orders[-20:])  # noqa: S311
            self._call("GET", f"/orders/{order}", name="/orders/{orderId}")

    @task(1)
    def list(self) -> None:
        """Look at the customer's orders."""
        self._call("GET", f"/users/{self.environment.customer}/orders", name="/users/{userId}/orders")

    @task(1)
    def cancel(self) -> None:
        """Cancel the last order; that it is too late for it is no error."""
        if self._orders:
            path = f"/orders/{self._orders.pop()}/cancel"
            self._call("POST", path, name="/orders/{orderId}/cancel", accepted=(409,))

    def _call(
        self, method: str, path: str, body: object = None, *, name: str = "", accepted: tuple[int, ...] = ()
    ) -> Any:
        """The decoded answer, or None for an error, which the statistics have."""
        with self.client.request(
            method,
            path,
            json=body,
            headers=self._headers,
            name=name or path,
            catch_response=True,
        ) as response:
            if response.status_code in accepted:
                response.success()
                return None
            return response.json() if 200 <= response.status_code < 300 else None

    def _follow(self, order: str, start: float) -> None:
        while time.perf_counter() - start < _PATIENCE:
            gevent.sleep(0.5)
            answer = self._call("GET", f"/orders/{order}", name="/orders/{orderId} (until it is final)")
            status = answer["status"] if answer else ""
            if status in _FINAL:
                if status == "FULFILLED":
                    self._record(start, None)
                return
        self._record(start, RuntimeError(f"not final after {_PATIENCE:.0f} s"))

    def _record(self, start: float, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type="ORDER",
            name="POST to FULFILLED",
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            response=None,
            context={},
            exception=error,
        )
