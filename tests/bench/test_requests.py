"""The cost of requests that are not part of an order's path."""

from __future__ import annotations

from typing import Any

from bench.billing import Units
from bench.metering import metered_backend
from bench.requests import measure_requests, units_of


def test_only_a_change_of_the_category_writes_its_index() -> None:
    units = {name: units_of(calls) for name, calls in measure_requests().items()}
    for name in (
        "PUT /products/{productId}, replaced",
        "PATCH /products/{productId}, the price",
        "POST /products/{productId}/stock",
    ):
        assert units[name] == {"writeUnits": 1}, name
    assert units["PATCH /products/{productId}, the category"] == {"writeUnits": 3}


def test_an_order_costs_the_same_for_products_with_a_category() -> None:
    def fulfilled(**fields: Any) -> Units:
        with metered_backend("WARNING") as meter:
            backend = meter.backend
            user, product = backend.create_user(), backend.create_product(**fields)
            meter.reset()
            backend.create_order(user, {product: 1})
            backend.run_workflow()
            return meter.ledger.total()

    assert fulfilled(category="Lamps") == fulfilled()
