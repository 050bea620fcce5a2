"""The demonstration: orders for every ending, carried through the running stack before one's eyes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.terminal import plain

_PATIENCE = 60.0  # seconds until an order that does not move counts as stuck
_FINAL = frozenset({"FULFILLED", "REJECTED", "CANCELLED", "FAILED"})
_COLOURS = {"FULFILLED": "green", "REJECTED": "yellow", "CANCELLED": "yellow", "FAILED": "red"}


class DemoError(Exception):
    """The API answered something that the demonstration cannot go on with; the message is one sentence."""


@dataclass
class _Case:
    """One order of the demonstration: what is done, how it should end, and how it stands."""

    title: str
    wanted: str
    reason: str  # the code that the order's statusReason should begin with, "" for none
    order: dict[str, Any] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        return self.order.get("status") in _FINAL

    @property
    def is_as_wanted(self) -> bool:
        reason = str(self.order.get("statusReason", "")).split(":", 1)[0]
        return self.order.get("status") == self.wanted and reason == self.reason


class _Client:
    """The API, as a client's program sees it."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._url = api_url
        self._session = requests.Session()
        self._session.headers["x-api-key"] = api_key

    def call(self, method: str, path: str, body: object = None, *accepted: int) -> tuple[int, dict[str, Any]]:
        """The status and the JSON body of an answer. Raises DemoError when the status is not accepted."""
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=30)
        except requests.RequestException as error:
            raise DemoError(f"{method} {path} got no answer: {error}") from error
        if answer.status_code not in accepted:
            raise DemoError(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
        decoded: dict[str, Any] = answer.json()
        return answer.status_code, decoded

    def create(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST that must create something."""
        return self.call("POST", path, body, 201)[1]


def run_demo(api_url: str, api_key: str, console: Console) -> bool:
    """Carry an order to each ending. Returns whether every order ended as it should.

    Raises DemoError when the API does not answer as documented.
    """
    client = _Client(api_url, api_key)
    user = client.create("/users", {"name": "Ada Lovelace", "email": "ada@example.com"})
    lamp = client.create("/products", {"title": "Lamp", "price": 1999, "stock": 5})
    desk = client.create("/products", {"title": "Desk", "price": 14900, "stock": 1})
    # Of its own, so that an order which was too quick to be cancelled does not spoil the count of the others.
    chair = client.create("/products", {"title": "Chair", "price": 4900, "stock": 10})
    console.print("Created a user and three products: Lamp (5 in stock), Desk (1), Chair (10).")

    def order(*lines: tuple[str, int]) -> dict[str, Any]:
        items = [{"productId": product, "quantity": quantity} for product, quantity in lines]
        return client.create("/orders", {"userId": user["userId"], "items": items})

    cancelled = _Case("cancelled", "CANCELLED", "")
    cancelled.order = _placed_and_cancelled(client, lambda: order((chair["productId"], 1)))
    cases = [
        _Case("2 lamps, 1 desk", "FULFILLED", "", order((lamp["productId"], 2), (desk["productId"], 1))),
        _Case("9 lamps of 5", "REJECTED", "insufficient_stock", order((lamp["productId"], 9))),
        _Case("unknown product", "REJECTED", "unknown_product", order(("no-such-product", 1))),
        cancelled,
    ]
    _watch(client, cases, console)
    return all(case.is_as_wanted for case in cases) and _stock_is_exact(client, lamp, desk, console)


def _placed_and_cancelled(client: _Client, place: Any) -> dict[str, Any]:
    """Place an order and cancel it at once. The workflow may be faster, and then the API says so (409)."""
    for _ in range(5):
        order_id = place()["orderId"]
        status, answer = client.call("POST", f"/orders/{order_id}/cancel", None, 200, 409)
        if status == 200:
            return answer
    raise DemoError("the workflow was faster than the cancel five times in a row")


def _watch(client: _Client, cases: list[_Case], console: Console) -> None:
    deadline = time.monotonic() + _PATIENCE
    with Live(_table(cases), console=console, refresh_per_second=10) as live:
        while not all(case.is_final for case in cases) and time.monotonic() < deadline:
            time.sleep(0.1)
            for case in cases:
                if not case.is_final:
                    case.order = client.call("GET", f"/orders/{case.order['orderId']}", None, 200)[1]
            live.update(_table(cases))
    if not console.is_terminal:
        console.print()  # Live ends without a newline there


def _stock_is_exact(
    client: _Client, lamp: Mapping[str, Any], desk: Mapping[str, Any], console: Console
) -> bool:
    """Whether exactly the goods of the fulfilled order are gone."""
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
        verdict = ("[green]yes[/]" if case.is_as_wanted else "[red]no[/]") if case.is_final else "…"
        reason = str(case.order.get("statusReason", "")).split(":", 1)[0]
        table.add_row(
            case.title,
            _path(case.order) + (f"\n  because: {plain(reason)}" if reason else ""),
            "" if total is None else f"{total / 100:.2f} {case.order['currency']}",
            verdict,
        )
    return table


def _path(order: Mapping[str, Any]) -> str:
    """`PENDING → VALIDATED 412 → FULFILLED 655`: each state, with milliseconds since the order was placed."""
    start = datetime.fromisoformat(order["createdAt"])
    steps: list[str] = []
    for entry in order["history"]:
        elapsed = round((datetime.fromisoformat(entry["at"]) - start).total_seconds() * 1000)
        color = _COLOURS.get(entry["status"])
        name = f"[{color}]{entry['status']}[/]" if color else entry["status"]
        steps.append(f"{name} {elapsed}" if elapsed or len(steps) else name)
    return " → ".join(steps)
