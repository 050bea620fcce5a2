"""A product of the catalog, and the fields that a client may set."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from functions.shared.domain import currencies
from functions.shared.domain.ids import Identifier
from functions.shared.domain.texts import LINES, Line, ShortLine

Description = Annotated[
    str, msgspec.Meta(max_length=2000, pattern=LINES, description="a text without control characters")
]
# 1,000,000.00. A total of 50 lines of 1,000 pieces is still an exact number in every JSON parser (< 2^53).
Price = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
Currency = Annotated[
    str, msgspec.Meta(pattern=currencies.CODE, description="an ISO 4217 currency code such as EUR")
]
MAX_STOCK = 1_000_000_000
MAX_BATCH = 100
Stock = Annotated[int, msgspec.Meta(ge=0, le=MAX_STOCK)]
Category = ShortLine


class StockChange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A change of stock that was no order: the pieces added (or taken, if negative), its time and reason."""

    change: int
    at: str
    reason: str | None = None


class Product(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A stored product: price in minor units of an ISO 4217 currency, stock in pieces on hand.

    An archived product cannot be ordered. Lists omit it by default.
    """

    product_id: str
    title: str
    price: int
    currency: str
    stock: int
    version: int
    created_at: str
    updated_at: str
    description: str | None = None
    category: str | None = None
    archived: bool = False
    last_stock_change: StockChange | None = None


class NewProduct(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A client's request for a product. Without a currency it has the stack's default."""

    title: Line
    price: Price
    stock: Stock
    description: Description | None = None
    currency: Currency | None = None
    category: Category | None = None
    archived: bool = False


class ProductPut(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A whole product under the client's own id.

    The stock of an existing product stays, unless it is sent with `If-Match`. Other fields that are not sent
    are removed, or get their default.
    """

    title: Line
    price: Price
    stock: Stock | None = None
    description: Description | None = None
    currency: Currency | None = None
    category: Category | None = None
    archived: bool = False


class BatchProduct(ProductPut, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A product of a batch, with its id."""

    product_id: Identifier


class ProductBatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Up to 100 products. Each is checked on its own, so that a mistake in one does not stop the others."""

    items: Annotated[
        list[Any],
        msgspec.Meta(
            min_length=1,
            max_length=MAX_BATCH,
            description="a list of products",
            extra_json_schema={"items": {"$ref": "#/components/schemas/BatchProduct"}},
        ),
    ]


class NewStockChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The pieces to add to the stock, or to take if negative. The reason is shown with the product."""

    change: Annotated[int, msgspec.Meta(ge=-MAX_STOCK, le=MAX_STOCK)]
    reason: ShortLine | None = None


class ProductPatch(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """The fields of a product that a client may change.

    An unset field stays. A description or category of null is removed.
    """

    title: Line | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    price: Price | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    stock: Stock | msgspec.UnsetType = msgspec.UNSET
    category: Category | msgspec.UnsetType | None = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET
