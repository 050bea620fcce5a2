"""Measures whether operations cost more as the tables grow: billed units and CPU time, for each size.

The tables are filled directly; all orders belong to one user. Units are computed from the recorded requests
and item sizes. The time is the function's CPU time without that of the store in memory, which grows.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from bench.metering import MeteredBackend, metered_backend
from bench.report import table, write
from functions.shared.domain.baskets import Basket
from functions.shared.domain.orders import HistoryEntry, Order, OrderLine, OrderStatus
from functions.shared.domain.products import Product
from functions.shared.domain.users import User, email_key
from functions.shared.persistence.order_items import list_shard_of
from local.memory.functions import invoke_task

SIZES: Final = (100, 1_000, 10_000, 100_000)
_AT: Final = "2026-01-31T08:00:00.000Z"
_NEVER: Final = 2**32  # seconds since 1970
_QUANTITIES: Final = {"p-0": 1, "p-1": 1}
_LINES: Final = [{"productId": product, "quantity": pieces} for product, pieces in _QUANTITIES.items()]
_STALLED: Final = (0, 10, 100)

Operation = Callable[[MeteredBackend], object]


def growth(sizes: Sequence[int] = SIZES, repeats: int = 3) -> bool:
    """Measures every operation at every size. Returns whether all units stay the same."""
    measured = operations()
    units: dict[str, list[dict[str, float]]] = {name: [] for name in measured}
    times: dict[str, list[float]] = {name: [] for name in measured}
    for size in sizes:
        with metered_backend("WARNING") as meter:
            fill(meter, size)
            for name, operation in measured.items():
                samples = []
                for _ in range(repeats):
                    meter.reset()
                    operation(meter)
                    samples.append(meter.seconds_invoked - meter.seconds_in_services)
                    counted = meter.ledger.total()
                units[name].append(counted)
                times[name].append(statistics.median(samples))
    flat = {name: all(one == of[0] for one in of) for name, of in units.items()}
    rows = [
        [
            name,
            _text(units[name][0]),
            "[green]flat" if flat[name] else f"[red]grows: {[_text(one) for one in units[name]]}",
            *(f"{seconds * 1000:.2f}" for seconds in times[name]),
        ]
        for name in measured
    ]
    table(
        "Growth: units, and own CPU in ms, by the number of orders, users and products",
        ["operation", "units", "over all sizes", *(f"{size:,}" for size in sizes)],
        rows,
        "The requeue's work depends on the number of stalled orders.",
    )
    write("growth", {"sizes": list(sizes), "units": units, "cpuSeconds": times})
    return all(flat.values())


def operations() -> dict[str, Operation]:
    """Returns the measured operations by name. None changes the tables' sizes."""
    return {**_requests(), **_stalled()}


def fill(meter: MeteredBackend, size: int) -> None:
    """Stores that many users with a basket, products, and fulfilled orders of one user."""
    lines = [OrderLine(product_id=f"p-{line}", quantity=2, title="Lamp", unit_price=1999) for line in (0, 1)]
    history = [HistoryEntry(status=status, at=_AT) for status in (OrderStatus.PENDING, OrderStatus.FULFILLED)]
    for number in range(size):
        at = f"2026-01-{number % 28 + 1:02}T{number // 28 % 24:02}:{number // 672 % 60:02}:00.000Z"
        user = User(f"u-{number}", "Ada", f"u-{number}@example.com", 1, _AT, _AT)
        product = Product(f"p-{number}", "Lamp", 1999, "EUR", 1_000_000, 1, _AT, _AT, category="Lamps")
        order = Order(
            order_id=f"o-{number:06}",
            user_id="u-0",
            items=lines,
            status=OrderStatus.FULFILLED,
            history=history,
            attempt=1,
            created_at=at,
            updated_at=at,
            total=7996,
            currency="EUR",
            reference=f"PO-{number:06}",
        )
        stored: dict[str, object] = {**msgspec.to_builtins(order), "timeShard": list_shard_of(order.order_id)}
        meter.backend.put("users", user)
        meter.backend.put("emails", {"emailKey": email_key(user.email), "userId": user.user_id})
        meter.backend.put("products", product)
        meter.backend.put("orders", stored)
        basket = Basket(f"u-{number}", 2, f"b-{number}", _QUANTITIES, {"p-0": 0, "p-1": 1}, _AT, _NEVER)
        meter.backend.put("baskets", basket)


def _requests() -> dict[str, Operation]:
    lists = {
        "GET /users": "/users",
        "GET /products": "/products",
        "GET /products?category=": "/products?category=Lamps",
        "GET /users/{userId}/orders": "/users/u-0/orders",
        "GET /orders": "/orders",
    }
    orders: dict[str, dict[str, str]] = {
        "GET /orders?from=&to=": {"from": "2026-01-07", "to": "2026-01-07", "limit": "2"},
        "GET /orders?status=FULFILLED": {"status": "FULFILLED"},
        "GET /orders?status=FAILED": {"status": "FAILED"},
        "GET /orders?status=PENDING": {"status": "PENDING"},
        "GET /orders?reference=": {"reference": "PO-000007"},
    }

    def get(meter: MeteredBackend, url: str, **query: str) -> Any:
        path, _, parameters = url.partition("?")
        return meter.request("GET", path, **dict(parse_qsl(parameters)), **query)

    def page(url: str) -> Operation:
        return lambda meter: get(meter, url)

    def following_page(url: str) -> Operation:
        def read(meter: MeteredBackend) -> object:
            token = get(meter, url)["nextToken"]
            meter.reset()
            return get(meter, url, nextToken=token)

        return read

    def found(query: dict[str, str]) -> Operation:
        return lambda meter: meter.request("GET", "/orders", **query)

    return {
        **{name: found(query) for name, query in orders.items()},
        **{f"{name}, first page": page(path) for name, path in lists.items()},
        **{f"{name}, next page": following_page(path) for name, path in lists.items()},
        "GET /orders/{orderId}": lambda meter: meter.request("GET", "/orders/o-000007"),
        "GET /users?email=": lambda meter: get(meter, "/users", email="u-7@example.com"),
        "POST /orders": _create,
        "POST /orders/{orderId}/cancel": _cancel,
        "ValidateOrder": _validate,
        "POST /quotes": lambda meter: meter.request("POST", "/quotes", {"items": _LINES}),
        "GET /users/{userId}/basket": lambda meter: meter.request("GET", "/users/u-7/basket"),
        "PUT /users/{userId}/basket/items/{productId}": lambda meter: meter.request(
            "PUT", "/users/u-7/basket/items/p-0", {"quantity": 2}
        ),
        "POST /users/{userId}/basket/checkout": _check_out,
    }


def _check_out(meter: MeteredBackend) -> None:
    basket = meter.backend.cloud.store.tables["baskets"].items["u-7"]
    order = meter.request("POST", "/users/u-7/basket/checkout", {})
    meter.backend.cloud.queue.clear()
    meter.backend.cloud.store.tables["baskets"].items["u-7"] = basket
    _delete_order(meter, order["orderId"])


def _create_order(meter: MeteredBackend) -> str:
    order = meter.request("POST", "/orders", {"userId": "u-0", "items": _LINES})
    meter.backend.cloud.queue.clear()
    return str(order["orderId"])


def _delete_order(meter: MeteredBackend, order: str) -> None:
    del meter.backend.cloud.store.tables["orders"].items[order]


def _create(meter: MeteredBackend) -> None:
    _delete_order(meter, _create_order(meter))


def _cancel(meter: MeteredBackend) -> None:
    order = _create_order(meter)
    meter.reset()
    meter.request("POST", f"/orders/{order}/cancel")
    _delete_order(meter, order)


def _validate(meter: MeteredBackend) -> None:
    order = _create_order(meter)
    meter.reset()
    invoke_task("validate_order", order)
    _delete_order(meter, order)


def _stalled() -> dict[str, Operation]:
    def requeue(stalled: int) -> Operation:
        def run(meter: MeteredBackend) -> None:
            for number in range(stalled):
                order = Order(
                    order_id=f"stalled-{number:03}",
                    user_id="u-0",
                    items=[OrderLine(product_id="p-0", quantity=1)],
                    status=OrderStatus.PENDING,
                    history=[HistoryEntry(status=OrderStatus.PENDING, at=_AT)],
                    attempt=1,
                    created_at=_AT,
                    updated_at=_AT,
                    open_shard=f"{number % 16:x}",
                    due_at=_AT,
                )
                meter.backend.put("orders", order)
            meter.reset()
            answer = meter.backend.run_schedule()
            if answer["requeued"] != stalled:
                raise RuntimeError(f"expected {stalled} requeued orders, got {json.dumps(answer)}")
            meter.backend.cloud.queue.clear()
            for number in range(stalled):
                _delete_order(meter, f"stalled-{number:03}")

        return run

    return {f"requeue, {stalled} stalled": requeue(stalled) for stalled in _STALLED}


def _text(units: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {what}" for what, amount in units.items())
