"""Changes of a product's stock that are no orders: deliveries, losses, corrections."""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import DomainError, InsufficientStock, InvalidInput, NotFound
from functions.shared.domain.products import MAX_STOCK, Product, StockChange
from functions.shared.persistence.dynamodb import (
    Item,
    UpdateExpression,
    cancellation_reasons,
    is_condition_failure,
    item_before,
    raise_if_transient,
    was_refused,
)
from functions.shared.persistence.records import Records


def change_stock(
    products: Records[Product], product_id: str, change: StockChange, *, mark: dict[str, Any] | None = None
) -> Product:
    """Adds to the stock of a product or takes from it, and returns the product.

    Concurrent changes and reservations all count. With `mark` (`RequestRepository.marking`) the change and
    the mark are one transaction, and a change that is marked already is not made again.

    Raises `NotFound`, `InsufficientStock`, `InvalidInput` if the stock would exceed its limit, and
    `StoreContention`, after which a retry is safe.
    """
    if mark is not None:
        return _change_marked(products, product_id, change, mark)
    try:
        return products.write_once(product_id, lambda: _update(change), change.at)
    except ClientError as error:
        if not is_condition_failure(error):
            raise
        raise _refusal(product_id, change, item_before(error)) from error


def _change_marked(
    products: Records[Product], product_id: str, change: StockChange, mark: dict[str, Any]
) -> Product:
    try:
        products.transact(product_id, _update(change), mark)
    except ClientError as error:
        of_product, of_mark = cancellation_reasons(error)
        if not was_refused(of_mark):
            if was_refused(of_product):
                raise _refusal(product_id, change, of_product.get("Item")) from error
            raise_if_transient((of_product, of_mark), error)
            raise
    return products.get(product_id)


def _update(change: StockChange) -> UpdateExpression:
    update = (
        UpdateExpression()
        .set("updatedAt", change.at)
        .count("version")
        .add("stock", change.change)
        .set("lastStockChange", msgspec.to_builtins(change))
        .require_exists("productId")
    )
    bound = update.value(-change.change if change.change < 0 else MAX_STOCK - change.change)
    return update.require(f"{update.name('stock')} {'>=' if change.change < 0 else '<='} {bound}")


def _refusal(product_id: str, change: StockChange, item: Item | None) -> DomainError:
    """Returns why a product in this state refuses a change."""
    if not item:
        return NotFound(f"there is no product {product_id}")
    in_stock = int(item["stock"]["N"])
    if change.change < 0:
        return InsufficientStock(f"a change of {change.change} is more than the {in_stock} in stock")
    most = max(MAX_STOCK - in_stock, 0)
    return InvalidInput(f"expected at most {most}: the stock is at most {MAX_STOCK}", "change")
