"""Counts what AWS bills for requests outside the paths of `order_paths.py`, for `docs/cost.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bench.billing import BilledCall, Units, add
from bench.metering import MeteredBackend, metered_backend
from local.memory.functions import invoke_task

Prepare = Callable[[MeteredBackend], Callable[[], object]]
"""Stores what a request needs, and returns the request."""

_PRODUCT: Final = {"title": "Desk lamp, brass", "price": 1999, "stock": 100}
WITH_REFERENCE: Final = "POST /orders, with a reference"
WITH_CATEGORY: Final = "POST /products, with a category"
_REFERENCE: Final = "PO-2026-0147"
_ORDER: Final = {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 2}], "reference": _REFERENCE}
_KEY: Final = {"Idempotency-Key": "4711"}
_PAGE: Final = 20  # entries


def units_of(calls: Iterable[BilledCall]) -> Units:
    """Returns the read and write units of calls."""
    units: Units = {}
    for call in calls:
        add(units, call.units)
    return {what: amount for what, amount in units.items() if what in {"readUnits", "writeUnits"}}


def measure_requests() -> dict[str, tuple[BilledCall, ...]]:
    """Returns the calls of each request by its name, in the order of docs/cost.md."""
    measured = {}
    for name, prepare in _REQUESTS.items():
        with metered_backend("WARNING") as meter:
            request = prepare(meter)
            meter.reset()
            request()
            measured[name] = tuple(meter.ledger.calls)
    return measured


def _create(headers: Mapping[str, str] | None = None, **fields: object) -> Prepare:
    return lambda meter: lambda: meter.backend.api.post("/products", _PRODUCT | fields, headers=headers)


def _repeat(meter: MeteredBackend) -> Callable[[], object]:
    create = _create(_KEY)(meter)
    create()
    return create


def _stored(
    method: str, path: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Prepare:
    """A request for a stored product with a category."""

    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        product = meter.request("POST", "/products", _PRODUCT | {"category": "Lamps"})["productId"]
        url = path.replace("{productId}", product)
        return lambda: meter.backend.api.request(method, url, body, headers=headers)

    return prepare


_ADA: Final = {"name": "Ada Lovelace", "email": "ada@example.com"}


def _user(method: str, path: str, body: object = None, **query: str) -> Prepare:
    """A request for a stored user."""

    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        meter.request("PUT", "/users/u-1", _ADA)
        return lambda: meter.request(method, path, body, **query)

    return prepare


def _batch(meter: MeteredBackend) -> Callable[[], object]:
    items = [_PRODUCT | {"productId": f"p-{number}"} for number in range(100)]
    return lambda: meter.request("POST", "/products/batch", {"items": items})


def _list(**query: str) -> Prepare:
    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        for _ in range(_PAGE):
            meter.request("POST", "/products", _PRODUCT | {"category": "Lamps"})
        return lambda: meter.request("GET", "/products", **query)

    return prepare


def _place(meter: MeteredBackend) -> Callable[[], object]:
    return lambda: meter.request("POST", "/orders", _ORDER)


def _list_orders(path: str = "/orders", **query: str) -> Prepare:
    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        for _ in range(3 * _PAGE):
            order = meter.request("POST", "/orders", _ORDER)["orderId"]
            if query.get("status") == "FAILED":
                invoke_task("update_order_status", order, status="FAILED", reason="broken")
        return lambda: meter.request("GET", path, **query)

    return prepare


def _quote(meter: MeteredBackend) -> Callable[[], object]:
    products = [meter.backend.create_product() for _ in range(2)]
    body = {"items": [{"productId": product, "quantity": 2} for product in products]}
    return lambda: meter.request("POST", "/quotes", body)


def _order(meter: MeteredBackend) -> Callable[[], object]:
    user = meter.backend.create_user()
    quantities = {meter.backend.create_product(): 2 for _ in range(2)}
    return lambda: meter.backend.create_order(user, quantities)


def _basket(method: str, suffix: str = "", body: object = None, lines: int = 2) -> Prepare:
    """A request for a basket with that many lines. `{productId}` is one of its products, or a new one."""

    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        user = meter.backend.create_user()
        products = [meter.backend.create_product() for _ in range(max(lines, 1))]
        for product in products[:lines]:
            meter.backend.fill_basket(user, {product: 2})
        path = f"/users/{user}/basket{suffix}".replace("{productId}", products[0])
        return lambda: meter.request(method, path, body)

    return prepare


_ITEM: Final = "/items/{productId}"
_REQUESTS: Final[Mapping[str, Prepare]] = {
    "POST /users": lambda meter: lambda: meter.request("POST", "/users", _ADA),
    "PATCH /users/{userId}, the name": _user("PATCH", "/users/u-1", {"name": "Ada King"}),
    "PATCH /users/{userId}, the address": _user("PATCH", "/users/u-1", {"email": "king@example.com"}),
    "DELETE /users/{userId}": _user("DELETE", "/users/u-1"),
    "GET /users?email=": _user("GET", "/users", email="ada@example.com"),
    "POST /products": _create(),
    WITH_CATEGORY: _create(category="Lamps"),
    "POST /products, with an Idempotency-Key": _create(_KEY),
    "POST /products, repeated": _repeat,
    "PUT /products/{productId}, replaced": _stored(
        "PUT", "/products/{productId}", _PRODUCT | {"category": "Lamps"}
    ),
    "PATCH /products/{productId}, the price": _stored("PATCH", "/products/{productId}", {"price": 1799}),
    "PATCH /products/{productId}, the category": _stored(
        "PATCH", "/products/{productId}", {"category": "Sofas"}
    ),
    "POST /products/batch, 100 products": _batch,
    "POST /products/{productId}/stock": _stored("POST", "/products/{productId}/stock", {"change": 5}),
    "POST /products/{productId}/stock, with an Idempotency-Key": _stored(
        "POST", "/products/{productId}/stock", {"change": 5}, _KEY
    ),
    f"GET /products, {_PAGE} products": _list(),
    f"GET /products?category=, {_PAGE} products": _list(category="Lamps"),
    WITH_REFERENCE: _place,
    f"GET /orders, {_PAGE} orders": _list_orders(),
    f"GET /orders?status=PENDING, {_PAGE} orders": _list_orders(status="PENDING"),
    f"GET /orders?status=FAILED, {_PAGE} orders": _list_orders(status="FAILED"),
    f"GET /orders?reference=, {_PAGE} orders": _list_orders(reference=_REFERENCE),
    f"GET /users/{{userId}}/orders, {_PAGE} orders": _list_orders("/users/u-1/orders"),
    "POST /quotes, 2 lines": _quote,
    "GET /users/{userId}/basket, 2 lines": _basket("GET"),
    "PUT /users/{userId}/basket/items/{productId}, the first line": _basket(
        "PUT", _ITEM, {"quantity": 1}, lines=0
    ),
    "PUT /users/{userId}/basket/items/{productId}, 2 lines": _basket("PUT", _ITEM, {"quantity": 1}),
    "DELETE /users/{userId}/basket/items/{productId}, 2 lines": _basket("DELETE", _ITEM),
    "DELETE /users/{userId}/basket": _basket("DELETE"),
    "POST /orders, 2 lines": _order,
    "POST /users/{userId}/basket/checkout, 2 lines": _basket("POST", "/checkout", {}),
}
