"""The demonstration: processes one order to each final status, and shows its progress.

With the demonstration's own fulfillment system, one order ships in two parcels, and one comes back.
"""

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

from local.errors import DemoError
from local.partners.fulfillment import FulfillmentPartner
from local.partners.shipping import ShippingPlan
from local.terminal import plain

_TIMEOUT = 60.0  # seconds for all orders
_FINAL = frozenset({"FULFILLED", "DELIVERED", "REJECTED", "CANCELLED", "FAILED"})
_COLORS = {
    "FULFILLED": "green",
    "DELIVERED": "green",
    "REJECTED": "yellow",
    "CANCELLED": "yellow",
    "FAILED": "red",
}
# What the demonstration's fulfillment system does with the orders that have these references.
_PLANS = {
    "two-parcels": ShippingPlan(ships_after=0.3, parcels=2, delivers_after=0.5),
    "comes-back": ShippingPlan(ships_after=0.3, delivers_after=0.3, returns_after=0.3),
}
_PRICES = {"Lamp": 1999, "Desk": 14900, "Chair": 4900, "Mug": 900}  # minor units


@dataclass
class Case:
    """One order of the demonstration."""

    title: str
    expected_status: str
    expected_reason: str  # the code at the start of the order's statusReason, "" for none
    order: dict[str, Any] = field(default_factory=dict)  # as last read
    expected_returns: int = 0

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the order. A FULFILLED one may still be delivered and returned."""
        status = self.order.get("status")
        if status == "FULFILLED" != self.expected_status:
            return False
        return status in _FINAL and (status != "DELIVERED" or self._returns >= self.expected_returns)

    @property
    def is_as_expected(self) -> bool:
        """Whether the order has the expected status, reason and returns."""
        reason = str(self.order.get("statusReason", "")).split(":", 1)[0]
        return (
            self.order.get("status") == self.expected_status
            and reason == self.expected_reason
            and self._returns == self.expected_returns
        )

    @property
    def _returns(self) -> int:
        return len(self.order.get("returns", []))


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


def demo_partner() -> FulfillmentPartner:
    """Returns the demonstration's fulfillment system, still without secret and API."""
    partner = FulfillmentPartner("")
    partner.shipping_by_reference.update(_PLANS)
    return partner


def run_demo(api_url: str, api_key: str, console: Console, has_partner: bool = False) -> bool:
    """Processes an order to each final status. Returns whether all orders and the stock are as expected.

    `has_partner`: the stack uses `demo_partner`. Raises DemoError when the API does not respond as
    documented.
    """
    client = _Client(api_url, api_key)
    user = client.create("/users", {"name": "Ada Lovelace", "email": "ada@example.com"})
    # A failed cancel ships a chair, so the stock of chairs is not checked.
    stock = {"Lamp": 5, "Desk": 1, "Chair": 10, **({"Mug": 10} if has_partner else {})}
    ids = {title: _create_product(client, title, pieces) for title, pieces in stock.items()}
    first, *others = (f"{title} ({number}" for title, number in stock.items())
    console.print(f"Created a user and products: {first} in stock), {'), '.join(others)}).")

    def order(lines: Mapping[str, int], reference: str = "") -> dict[str, Any]:
        items = [{"productId": ids.get(title, title), "quantity": pieces} for title, pieces in lines.items()]
        body = {"userId": user["userId"], "items": items, **({"reference": reference} if reference else {})}
        return client.create("/orders", body)

    in_basket = {ids["Lamp"]: 2, ids["Desk"]: 1}
    cancelled = Case("cancelled", "CANCELLED", "")
    cancelled.order = _create_and_cancel(client, lambda: order({"Chair": 1}))
    cases = [
        Case("basket: 3 items", "FULFILLED", "", _check_out(client, user["userId"], in_basket)),
        Case("9 lamps of 5", "REJECTED", "insufficient_stock", order({"Lamp": 9})),
        Case("unknown product", "REJECTED", "unknown_product", order({"no-such-product": 1})),
        cancelled,
    ]
    expected = {"Lamp": 3, "Desk": 0}
    if has_partner:
        two_parcels = order({"Mug": 2}, "two-parcels")
        cases.append(Case("two parcels", "DELIVERED", "", two_parcels))
        cases.append(Case("comes back", "DELIVERED", "", order({"Mug": 1}, "comes-back"), 1))
        expected["Mug"] = 8
    _wait(client, cases, console)
    left = {title: _stock(client, ids[title]) for title in expected}
    console.print(f"In stock now: {', '.join(f'{title} {pieces}' for title, pieces in left.items())}.")
    return all(case.is_as_expected for case in cases) and left == expected


def _create_product(client: _Client, title: str, stock: int) -> str:
    product = {"title": title, "price": _PRICES[title], "stock": stock}
    return str(client.create("/products", product)["productId"])


def _check_out(client: _Client, user_id: str, lines: Mapping[str, int]) -> dict[str, Any]:
    """Puts products into the user's basket, and orders it at the total that the basket shows."""
    basket = f"/users/{user_id}/basket"
    for product_id, quantity in lines.items():
        _, shown = client.call("PUT", f"{basket}/items/{product_id}", {"quantity": quantity}, 200)
    total = {"amount": shown["total"], "currency": shown["currency"]}
    return client.create(f"{basket}/checkout", {"expectedTotal": total})


def _create_and_cancel(client: _Client, new_order: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Creates an order and cancels it at once. The API returns 409 when the order was shipped before."""
    for _ in range(5):
        order_id = new_order()["orderId"]
        status, answer = client.call("POST", f"/orders/{order_id}/cancel", None, 200, 202, 409)
        if status != 409:
            return answer
    raise DemoError("five orders were shipped before they could be cancelled")


def _wait(client: _Client, cases: list[Case], console: Console) -> None:
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


def _stock(client: _Client, product_id: str) -> int:
    return int(client.call("GET", f"/products/{product_id}", None, 200)[1]["stock"])


def _table(cases: list[Case]) -> Table:
    table = Table("order", "states, and milliseconds to each", "total", "ok", box=SIMPLE, pad_edge=False)
    table.columns[1].no_wrap = True
    for case in cases:
        total = case.order.get("total")
        verdict = ("[green]yes[/]" if case.is_as_expected else "[red]no[/]") if case.is_final else "…"
        reason = str(case.order.get("statusReason", "")).split(":", 1)[0]
        table.add_row(
            case.title,
            "\n  ".join([*progress_of(case.order), *([f"because: {plain(reason)}"] if reason else [])]),
            "" if total is None else f"{total / 100:.2f} {case.order['currency']}",
            verdict,
        )
    return table


def progress_of(order: Mapping[str, Any]) -> list[str]:
    """Returns lines such as `PENDING → VALIDATED 412 → FULFILLED 655`: steps, and milliseconds to each.

    Parcels and returns have lines of their own.
    """
    start = datetime.fromisoformat(order["createdAt"])

    def elapsed(at: str) -> int:
        return round((datetime.fromisoformat(at) - start).total_seconds() * 1000)

    steps: list[str] = []
    for entry in order["history"]:
        color = _COLORS.get(entry["status"])
        name = f"[{color}]{entry['status']}[/]" if color else entry["status"]
        steps.append(f"{name} {elapsed(entry['at'])}" if steps else name)
    statuses = [entry["status"] for entry in order["history"]]
    if "IN_FULFILLMENT" not in statuses:
        return [" → ".join(steps)]
    later = statuses.index("IN_FULFILLMENT") + 1
    lines = [" → ".join(steps[: later - 1]), f"→ {steps[later - 1]}"]
    for parcel in order.get("shipments", []):
        line = f"{plain(parcel['shipmentId'])} shipped {elapsed(parcel['shippedAt'])}"
        if "deliveredAt" in parcel:
            line += f", delivered {elapsed(parcel['deliveredAt'])}"
        lines.append(line)
    if steps[later:]:
        lines.append("→ " + " → ".join(steps[later:]))
    lines += [
        f"{plain(back['returnId'])} {back['status'].lower()} {elapsed(back['at'])}"
        for back in order.get("returns", [])
    ]
    return lines
