"""Creates and replaces products."""

from __future__ import annotations

from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.products import Product, ProductPut
from functions.shared.persistence.records import Records


def put_product(
    products: Records[Product],
    product_id: str,
    new: ProductPut,
    *,
    default_currency: str,
    at: str,
    condition: Precondition,
) -> tuple[Product, bool]:
    """Creates or replaces a product. Returns it, and whether it is new.

    Orders change the stock at any time. So the stock of an existing product changes only if the condition
    names the version on which the new number is based. Raises what `Records.put` raises.
    """
    fields: dict[str, object] = {
        "title": new.title,
        "description": new.description,
        "price": new.price,
        "currency": new.currency or default_currency,
        "category": new.category,
        "archived": new.archived or None,
    }
    stock = {"stock": new.stock or 0}
    if condition.versions is not None and new.stock is not None:
        fields |= stock
        stock = {}
    return products.put(product_id, fields, defaults=stock, at=at, condition=condition)
