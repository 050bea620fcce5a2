"""Whether anything gets dearer when the tables grow: units and own time of every operation, at every size.

The tables are filled directly, all orders for one user. Units are computed from the recorded requests and
item sizes; the time is the CPU time of the function, without that of the store, whose stand-in in memory does
grow.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from bench.memory import Backend, backend
from bench.report import table, write
from functions.shared.domain.orders import HistoryEntry, Order, OrderLine, OrderStatus
from functions.shared.domain.products import Product
from functions.shared.domain.users import User
from functions.shared.persistence.dynamodb import struct_to_item

SIZES: Final = (100, 1_000, 10_000, 100_000)
_AT: Final = "2026-01-31T08:00:00.000Z"
_STALLED: Final = (0, 10, 100)

Operation = Callable[[Backend], object]


def growth(sizes: Sequence[int] = SIZES, repeats: int = 3) -> bool:
    """Measure every operation at every size; answers whether all units are flat."""
    measured = operations()
    units: dict[str, list[dict[str, float]]] = {name: [] for name in measured}
    times: dict[str, list[float]] = {name: [] for name in measured}
    for size in sizes:
        with backend("WARNING") as made:
            fill(made, size)
            for name, operation in measured.items():
                samples = []
                for _ in range(repeats):
                    made.forget()
                    operation(made)
                    samples.append(made.seconds_invoked - made.seconds_in_store)
                    counted = made.ledger.total()
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
        "The requeue's work follows the stalled orders, of which the tables hold a few among all.",
    )
    write("growth", {"sizes": list(sizes), "units": units, "cpuSeconds": times})
    return all(flat.values())


def operations() -> dict[str, Operation]:
    """Everything that is measured, by its name; each leaves the tables as they were."""
    return {**_requests(), **_stalled()}


def fill(made: Backend, size: int) -> None:
    """Put so many users, products and fulfilled orders of one user into the tables."""
    tables = made.store.tables
    lines = [OrderLine(product_id=f"p-{line}", quantity=2, title="Lamp", unit_price=1999) for line in (0, 1)]
    history = [HistoryEntry(status=status, at=_AT) for status in (OrderStatus.PENDING, OrderStatus.FULFILLED)]
    for number in range(size):
        at = f"2026-01-{number % 28 + 1:02}T{number // 28 % 24:02}:{number // 672 % 60:02}:00.000Z"
        user = User(f"u-{number}", "Ada", "ada@example.com", 1, _AT, _AT)
        product = Product(f"p-{number}", "Lamp", 1999, "EUR", 1_000_000, 1, _AT, _AT)
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
        )
        tables["users"].items[user.user_id] = struct_to_item(user)
        tables["products"].items[product.product_id] = struct_to_item(product)
        tables["orders"].items[order.order_id] = struct_to_item(order)


def _requests() -> dict[str, Operation]:
    listing = {
        "GET /users": ("users_api", "/users"),
        "GET /products": ("products_api", "/products"),
        "GET /users/{userId}/orders": ("orders_api", "/users/u-0/orders"),
    }

    def page(function: str, path: str) -> Operation:
        return lambda made: made.api(function, "GET", path)

    def following_page(function: str, path: str) -> Operation:
        def read(made: Backend) -> object:
            token = made.api(function, "GET", path)["nextToken"]
            made.forget()
            return made.api(function, "GET", path, nextToken=token)

        return read

    return {
        **{f"{name}, first page": page(*of) for name, of in listing.items()},
        **{f"{name}, next page": following_page(*of) for name, of in listing.items()},
        "GET /orders/{orderId}": lambda made: made.api("orders_api", "GET", "/orders/o-000007"),
        "POST /orders": _create,
        "POST /orders/{orderId}/cancel": _cancel,
        "ValidateOrder": _validate,
    }


def _place(made: Backend) -> str:
    lines = [{"productId": product, "quantity": 1} for product in ("p-0", "p-1")]
    order = made.api("orders_api", "POST", "/orders", {"userId": "u-0", "items": lines})
    made.messages.clear()
    return str(order["orderId"])


def _take_away(made: Backend, order: str) -> None:
    del made.store.tables["orders"].items[order]


def _create(made: Backend) -> None:
    _take_away(made, _place(made))


def _cancel(made: Backend) -> None:
    order = _place(made)
    made.forget()
    made.api("orders_api", "POST", f"/orders/{order}/cancel")
    _take_away(made, order)


def _validate(made: Backend) -> None:
    order = _place(made)
    made.forget()
    made.invoke("validate_order", {"orderId": order, "attempt": 1, "correlationId": "c"})
    _take_away(made, order)


def _stalled() -> dict[str, Operation]:
    def requeue(stalled: int) -> Operation:
        def run(made: Backend) -> None:
            orders = made.store.tables["orders"].items
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
                    open_shard=str(number % 8),
                    open_since=_AT,
                )
                orders[order.order_id] = struct_to_item(order)
            made.forget()
            answer = made.invoke("requeue_stalled_orders", {})
            if answer["requeued"] != stalled:
                raise RuntimeError(f"{stalled} stalled orders, but {json.dumps(answer)}")
            made.messages.clear()
            for number in range(stalled):
                del orders[f"stalled-{number:03}"]

        return run

    return {f"requeue, {stalled} stalled": requeue(stalled) for stalled in _STALLED}


def _text(units: dict[str, float]) -> str:
    return ", ".join(f"{amount:g} {what}" for what, amount in units.items())
