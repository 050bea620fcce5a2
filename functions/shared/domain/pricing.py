"""Prices an order from the products, and never from the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functions.shared.domain.errors import OrderRejected, RejectionCode
from functions.shared.domain.orders import OrderLine, Pricing
from functions.shared.domain.products import Product


def price(lines: Sequence[OrderLine], products: Mapping[str, Product]) -> Pricing:
    """Returns the prices of the lines at the products' present prices.

    Raises `OrderRejected` if a product is unknown or the products have different currencies.
    """
    unknown = [line.product_id for line in lines if line.product_id not in products]
    if unknown:
        raise OrderRejected(RejectionCode.UNKNOWN_PRODUCT, f"there is no product {', '.join(unknown)}")
    currencies = sorted({products[line.product_id].currency for line in lines})
    if len(currencies) > 1:
        raise OrderRejected(
            RejectionCode.MIXED_CURRENCIES, f"one order has one currency, not {' and '.join(currencies)}"
        )
    priced = [
        OrderLine(
            product_id=line.product_id,
            quantity=line.quantity,
            title=products[line.product_id].title,
            unit_price=products[line.product_id].price,
        )
        for line in lines
    ]
    total = sum(products[line.product_id].price * line.quantity for line in lines)
    return Pricing(items=priced, total=total, currency=currencies[0])
