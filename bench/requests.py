"""Counts what AWS bills for requests that are not part of an order's path, for `docs/cost.md`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bench.billing import Units
from bench.metering import MeteredBackend, metered_backend

Prepare = Callable[[MeteredBackend], Callable[[], object]]
"""Stores what a request needs, and returns the request."""

_PRODUCT: Final = {"title": "Desk lamp, brass", "price": 1999, "stock": 100}
_PAGE: Final = 20  # entries


def measure_requests() -> dict[str, Units]:
    """Returns the DynamoDB units of each request by its name, in the order of docs/cost.md."""
    measured = {}
    for name, prepare in _REQUESTS.items():
        with metered_backend("WARNING") as meter:
            request = prepare(meter)
            meter.reset()
            request()
            measured[name] = meter.ledger.total()
    return measured


def _create(**fields: object) -> Prepare:
    return lambda meter: lambda: meter.request("POST", "/products", _PRODUCT | fields)


def _stored(method: str, path: str, body: Mapping[str, object]) -> Prepare:
    """A request for a stored product with a category."""

    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        product = meter.request("POST", "/products", _PRODUCT | {"category": "Lamps"})["productId"]
        return lambda: meter.request(method, path.replace("{productId}", product), body)

    return prepare


def _list(**query: str) -> Prepare:
    def prepare(meter: MeteredBackend) -> Callable[[], object]:
        for _ in range(_PAGE):
            meter.request("POST", "/products", _PRODUCT | {"category": "Lamps"})
        return lambda: meter.request("GET", "/products", **query)

    return prepare


_REQUESTS: Final[Mapping[str, Prepare]] = {
    "POST /products": _create(),
    "POST /products, with a category": _create(category="Lamps"),
    "PUT /products/{productId}, replaced": _stored(
        "PUT", "/products/{productId}", _PRODUCT | {"category": "Lamps"}
    ),
    "PATCH /products/{productId}, the price": _stored("PATCH", "/products/{productId}", {"price": 1799}),
    "PATCH /products/{productId}, the category": _stored(
        "PATCH", "/products/{productId}", {"category": "Sofas"}
    ),
    "POST /products/{productId}/stock": _stored("POST", "/products/{productId}/stock", {"change": 5}),
    f"GET /products, {_PAGE} products": _list(),
    f"GET /products?category=, {_PAGE} products": _list(category="Lamps"),
}
