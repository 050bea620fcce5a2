"""Prices lines from the products, and never from a request: for orders, quotes and baskets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from functions.shared.domain.errors import (
    InsufficientStock,
    NotOrderable,
    OrderRejected,
    PriceChanged,
    RejectionCode,
)
from functions.shared.domain.orders import MAX_LINES, Money, NewOrderLine, OrderLine, Pricing
from functions.shared.domain.products import Product
from functions.shared.domain.quotes import Quote, QuoteLine


class NewQuote(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A client's request for a quote."""

    items: Annotated[list[NewOrderLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]


def quote(lines: Sequence[NewOrderLine | OrderLine], products: Mapping[str, Product]) -> Quote:
    """Returns the lines at the products' present prices, in the currency of the first product for sale."""
    found = (products[line.product_id] for line in lines if line.product_id in products)
    currency = next((product.currency for product in found if not product.archived), None)
    quoted = [_quote_line(line, products.get(line.product_id), currency) for line in lines]
    total = sum(line.unit_price * line.quantity for line in quoted if line.unit_price is not None)
    return Quote(items=quoted, total=total, currency=currency)


def _quote_line(line: NewOrderLine | OrderLine, product: Product | None, currency: str | None) -> QuoteLine:
    if product is None:
        return QuoteLine(line.product_id, line.quantity, 0, problem=RejectionCode.UNKNOWN_PRODUCT)
    if product.archived:
        return QuoteLine(
            line.product_id, line.quantity, 0, product.title, problem=RejectionCode.PRODUCT_ARCHIVED
        )
    unit_price: int | None = product.price
    problem = None
    if product.currency != currency:
        unit_price, problem = None, RejectionCode.MIXED_CURRENCIES
    elif product.stock < line.quantity:
        problem = RejectionCode.INSUFFICIENT_STOCK
    return QuoteLine(
        product_id=line.product_id,
        quantity=line.quantity,
        available=product.stock,
        title=product.title,
        unit_price=unit_price,
        problem=problem,
    )


def explain_unexpected(quoted: Quote, expected: Money | None) -> str | None:
    """Returns how the total differs from the expected one, or None if it does not or none is expected."""
    if expected is None or (expected.amount, expected.currency) == (quoted.total, quoted.currency):
        return None
    wanted = f"{expected.amount} {expected.currency}"
    return f"the total is {quoted.total} {quoted.currency}, not {wanted} (minor units)"


def check_orderable(quoted: Quote, expected: Money | None) -> None:
    """Raises the reason for which an order of these lines would be rejected, if there is one.

    It is `NotOrderable`, `InsufficientStock` or `PriceChanged`. Other orders may still take the stock before
    this one reserves it.
    """
    lines = [line for line in quoted.items if line.problem not in {None, RejectionCode.INSUFFICIENT_STOCK}]
    if lines:
        named = ", ".join(f"{line.product_id} ({line.problem})" for line in lines)
        raise NotOrderable(f"remove what cannot be ordered: {named}", quoted)
    short = quoted.lines_with(RejectionCode.INSUFFICIENT_STOCK)
    if short:
        named = ", ".join(
            f"{line.product_id} ({line.quantity} wanted, {line.available} left)" for line in short
        )
        raise InsufficientStock(f"too little is in stock: {named}", quoted)
    difference = explain_unexpected(quoted, expected)
    if difference is not None:
        raise PriceChanged(difference, quoted)


def price(
    lines: Sequence[OrderLine], products: Mapping[str, Product], *, expected: Money | None = None
) -> Pricing:
    """Returns the prices of the lines at the products' present prices.

    Raises `OrderRejected` if a product is unknown or archived, the products have different currencies, or the
    total is not the expected one. Stock is no matter of the price: the reservation checks it.
    """
    quoted = quote(lines, products)
    unknown = quoted.lines_with(RejectionCode.UNKNOWN_PRODUCT)
    if unknown:
        ids = ", ".join(line.product_id for line in unknown)
        raise OrderRejected(RejectionCode.UNKNOWN_PRODUCT, f"there is no product {ids}")
    archived = quoted.lines_with(RejectionCode.PRODUCT_ARCHIVED)
    if archived:
        ids = ", ".join(line.product_id for line in archived)
        raise OrderRejected(RejectionCode.PRODUCT_ARCHIVED, f"no longer for sale: {ids}")
    if quoted.lines_with(RejectionCode.MIXED_CURRENCIES) or quoted.currency is None:
        currencies = sorted({products[line.product_id].currency for line in lines})
        raise OrderRejected(
            RejectionCode.MIXED_CURRENCIES, f"one order has one currency, not {' and '.join(currencies)}"
        )
    difference = explain_unexpected(quoted, expected)
    if difference is not None:
        raise OrderRejected(RejectionCode.PRICE_CHANGED, difference)
    priced = [
        OrderLine(
            product_id=line.product_id, quantity=line.quantity, title=line.title, unit_price=line.unit_price
        )
        for line in quoted.items
    ]
    return Pricing(items=priced, total=quoted.total, currency=quoted.currency)
