"""Changes of a product's stock that are no orders: deliveries, losses, corrections."""

from __future__ import annotations

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import InsufficientStock, InvalidInput, NotFound
from functions.shared.domain.products import MAX_STOCK, Product, StockChange
from functions.shared.persistence.dynamodb import UpdateExpression, is_condition_failure, item_before
from functions.shared.persistence.records import Records


def change_stock(products: Records[Product], product_id: str, change: StockChange) -> Product:
    """Adds to the stock of a product or takes from it, and returns the product.

    Concurrent changes and reservations all count. Raises `NotFound`, `InsufficientStock`, and `InvalidInput`
    if the stock would exceed its limit.
    """

    def update() -> UpdateExpression:
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

    try:
        return products.write_once(product_id, update, change.at)
    except ClientError as error:
        if not is_condition_failure(error):
            raise
        item = item_before(error)
        if item is None:
            raise NotFound(f"there is no product {product_id}") from error
        in_stock = int(item["stock"]["N"])
        if change.change < 0:
            raise InsufficientStock(
                f"a change of {change.change} is more than the {in_stock} in stock"
            ) from error
        raise InvalidInput(
            f"expected at most {max(MAX_STOCK - in_stock, 0)}: the stock is at most {MAX_STOCK}", "change"
        ) from error
