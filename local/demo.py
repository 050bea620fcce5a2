"""The demonstration: processes one order to each final status, and shows its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.terminal import plain

_TIMEOUT = 60.0  # seconds for all orders
_FINAL = frozenset({"FULFILLED", "REJECTED", "CANCELLED", "FAILED"})
_COLORS = {"FULFILLED": "green", "REJECTED": "yellow", "CANCELLED": "yellow", "FAILED": "red"}


class DemoError(Exception):
    """The API's response does not allow the demonstration to continue. The message is one sentence."""


@dataclass
class _Case:
    """One order of the demonstration."""

    title: str
    expected_status: str
    expected_reason: str  # the code at the start of the order's statusReason, "" for none
    order: dict[str, Any] = field(default_factory=dict)  # as last read

    @property
    def is_final(self) -> bool:
        return self.order.get("status") in _FINAL

    @property
    def is_as_expected(self) -> bool:
        reason = str(self.order.get("statusReason", "")).split(":", 1)[0]
        return self.order.get("status") == self.expected_status and reason == self.expected_reason


class _Client:
    """A client of the API."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._url = api_url
        self._session = requests.Session()
        self._session.headers["x-api-key"] = api_key

    def call(self, method: str, path: str, body: object = None, *accepted: int) -> tuple[int, dict[str, Any]]:
        """Returns the response's status and JSON body. Raises DemoError for a status that is not accepted."""
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=30)
        except requests.RequestException as error:
            raise DemoError(f"{method} {path} got no response: {error}") from error
        if answer.status_code not in accepted:
            raise DemoError(f"{method} {path} returned {answer.status_code}: {answer.text[:300]}")
        decoded: dict[str, Any] = answer.json()
        return answer.status_code, decoded

    def create(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Sends a POST that must return 201, and returns its body."""
        return self.call("POST", path, body, 201)[1]


def run_demo(api_url: str, api_key: str, console: Console) -> bool:
    """Processes an order to each final status. Returns whether all orders and the stock are as expected.

    Raises DemoError when the API does not respond as documented.
    """
    client = _Client(api_url, api_key)
    user = client.create("/users", {"name": "Ada Lovelace", "email": "ada@example.com"})
    lamp = client.create("/products", {"title": "Lamp", "price": 1999, "stock": 5})
    desk = client.create("/products", {"title": "Desk", "price": 14900, "stock": 1})
    # Only for the cancelled order: a failed cancel ships a chair, and the checked stock stays exact.
    chair = client.create("/products", {"title": "Chair", "price": 4900, "stock": 10})
    console.print("Created a user and three products: Lamp (5 in stock), Desk (1), Chair (10).")

    def order(*lines: tuple[str, int]) -> dict[str, Any]:
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines]
        return client.create("/orders", {"userId": user["userId"], "items": items})

    cancelled = _Case("cancelled", "CANCELLED", "")
    cancelled.order = _create_and_cancel(client, lambda: order((chair["productId"], 1)))
    cases = [
        _Case("basket: 3 items", "FULFILLED", "", _check_out(client, user, (lamp, 2), (desk, 1))),
        _Case("9 lamps of 5", "REJECTED", "insufficient_stock", order((lamp["productId"], 9))),
        _Case("unknown product", "REJECTED", "unknown_product", order(("no-such-product", 1))),
        cancelled,
    ]
    _wait(client, cases, console)
    return all(case.is_as_expected for case in cases) and _is_stock_exact(client, lamp, desk, console)


def _check_out(
    client: _Client, user: Mapping[str, Any], *lines: tuple[Mapping[str, Any], int]
) -> dict[str, Any]:
    """Puts products into the user's basket, and orders it at the total that the basket shows."""
    basket = f"/users/{user['userId']}/basket"
    for product, quantity in lines:
        _, shown = client.call("PUT", f"{basket}/items/{product['productId']}", {"quantity": quantity}, 200)
    total = {"amount": shown["total"], "currency": shown["currency"]}
    return client.create(f"{basket}/checkout", {"expectedTotal": total})


def _create_and_cancel(client: _Client, new_order: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Creates an order and cancels it at once. The API returns 409 when the workflow was faster."""
    for _ in range(5):
        order_id = new_order()["orderId"]
        status, answer = client.call("POST", f"/orders/{order_id}/cancel", None, 200, 409)
        if status == 200:
            return answer
    raise DemoError("five orders were fulfilled before they could be cancelled")


def _wait(client: _Client, cases: list[_Case], console: Console) -> None:
    """Reads the orders until all have a final status or the time is up, and shows them."""
    deadline = time.monotonic() + _TIMEOUT
    with Live(_table(cases), console=console, refresh_per_second=10) as live:
        while not all(case.is_final for case in cases) and time.monotonic() < deadline:
            time.sleep(0.1)
            for case in cases:
                if not case.is_final:
                    case.order = client.call("GET", f"/orders/{case.order['orderId']}", None, 200)[1]
            live.update(_table(cases))
    if not console.is_terminal:
        console.print()  # Live prints no final newline to a file or pipe


def _is_stock_exact(
    client: _Client, lamp: Mapping[str, Any], desk: Mapping[str, Any], console: Console
) -> bool:
    """Returns whether only the items of the fulfilled order were taken from stock."""
    left = {
        product["title"]: client.call("GET", f"/products/{product['productId']}", None, 200)[1]["stock"]
        for product in (lamp, desk)
    }
    console.print(f"In stock now: {', '.join(f'{title} {stock}' for title, stock in left.items())}.")
    return left == {"Lamp": 3, "Desk": 0}


def _table(cases: list[_Case]) -> Table:
    table = Table("order", "states, and milliseconds to each", "total", "ok", box=SIMPLE, pad_edge=False)
    table.columns[1].no_wrap = True
    for case in cases:
        total = case.order.get("total")
        verdict = ("[green]yes[/]" if case.is_as_expected else "[red]no[/]") if case.is_final else "…"
        reason = str(case.order.get("statusReason", "")).split(":", 1)[0]
        table.add_row(
            case.title,
            _path(case.order) + (f"\n  because: {plain(reason)}" if reason else ""),
            "" if total is None else f"{total / 100:.2f} {case.order['currency']}",
            verdict,
        )
    return table


def _path(order: Mapping[str, Any]) -> str:
    """Returns `PENDING → VALIDATED 412 → FULFILLED 655`: each status, and milliseconds since the creation."""
    start = datetime.fromisoformat(order["createdAt"])
    steps: list[str] = []
    for entry in order["history"]:
        elapsed = round((datetime.fromisoformat(entry["at"]) - start).total_seconds() * 1000)
        color = _COLORS.get(entry["status"])
        name = f"[{color}]{entry['status']}[/]" if color else entry["status"]
        steps.append(f"{name} {elapsed}" if elapsed or len(steps) else name)
    return " → ".join(steps)
