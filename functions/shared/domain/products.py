"""A product of the catalog: its data, and what a client may set."""

from __future__ import annotations

from typing import Annotated

import msgspec

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Description = Annotated[str, msgspec.Meta(max_length=2000)]
# 1,000,000.00: with 50 lines of 1,000 pieces a total still is an exact number in every JSON reader (< 2^53).
Price = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
Currency = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Z]{3}(?!\n)$", description="an ISO 4217 currency code such as EUR")
]
Stock = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Product(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A product as it is stored; price in minor units of an ISO 4217 currency, stock in pieces on hand."""

    product_id: str
    title: str
    price: int
    currency: str
    stock: int
    version: int
    created_at: str
    updated_at: str
    description: str | None = None


class NewProduct(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A product as a client creates it; without a currency it has the stack's default."""

    title: Title
    price: Price
    stock: Stock
    description: Description | None = None
    currency: Currency | None = None


class ProductPatch(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """The fields of a product that a client may change; what is unset stays as it is, a description of null
    goes."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    price: Price | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    stock: Stock | msgspec.UnsetType = msgspec.UNSET
