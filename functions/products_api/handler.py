"""The routes of products."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from functions.products_api import batch, catalog
from functions.products_api.batch import BatchResults
from functions.shared import aws, clock
from functions.shared.domain.errors import AlreadyExists, InsufficientStock, InvalidInput, VersionRequired
from functions.shared.domain.orders import check_distinct
from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.pricing import NewQuote, quote
from functions.shared.domain.products import (
    Category,
    NewProduct,
    NewStockChange,
    Product,
    ProductBatch,
    ProductPatch,
    ProductPut,
    StockChange,
)
from functions.shared.domain.quotes import Quote
from functions.shared.environment import required
from functions.shared.http import PAGE, Answer, Api, etag
from functions.shared.observability import logger
from functions.shared.persistence import records, stock
from functions.shared.persistence.pages import Page
from functions.shared.persistence.requests import RequestRepository

_dynamodb = aws.client("dynamodb")
_products = records.products(_dynamodb, required("PRODUCTS_TABLE"))
_requests = RequestRepository(_dynamodb, required("REQUESTS_TABLE"))
api = Api(_requests)
_default_currency = required("DEFAULT_CURRENCY")


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


@api.route("POST", "/products", takes=NewProduct, idempotent=True)
def create_product(body: NewProduct) -> Answer[Product]:
    """Add a product to the catalog."""
    now = clock.now()
    product = Product(
        product_id=api.new_id(),
        title=body.title,
        description=body.description,
        price=body.price,
        currency=body.currency or _default_currency,
        stock=body.stock,
        category=body.category,
        archived=body.archived,
        version=1,
        created_at=now,
        updated_at=now,
    )
    product = _products.create(product)
    return _one(product, HTTPStatus.CREATED, Location=f"{api.location}/{product.product_id}")


@api.route("GET", "/products", query=(*PAGE, "category", "includeArchived"))
def list_products() -> Answer[Page[Product]]:
    """Get a page of the catalog, or of one category sorted by id.

    Archived products are omitted by default.
    """
    category, with_archived = api.parameter("category", Category), api.parameter("includeArchived", bool)
    limit, token = api.page()
    if category is None:
        page = _products.page(limit, token)
    else:
        page = _products.page_with("category", category, limit, token)
    if with_archived:
        return Answer(HTTPStatus.OK, page)
    for_sale = [product for product in page.items if not product.archived]
    return Answer(HTTPStatus.OK, Page[Product](items=for_sale, next_token=page.next_token))


@api.route("GET", "/products/<product_id>")
def get_product(product_id: str) -> Answer[Product]:
    """Get one product."""
    return _one(_products.get(product_id))


@api.route("PUT", "/products/<product_id>", takes=ProductPut, raises=(AlreadyExists,))
def put_product(product_id: str, body: ProductPut) -> Answer[Product]:
    """Create a product under this id (201), or replace it (200).

    `If-None-Match: *` only creates, `If-Match` only replaces. The stock of an existing product stays, unless
    `If-Match` names its version. So a repeat does not undo the orders since the first request.
    """
    product, is_new = _put(product_id, body, api.precondition())
    return _one(product, HTTPStatus.CREATED, Location=api.location) if is_new else _one(product)


@api.route("POST", "/products/batch", takes=ProductBatch, idempotent=True)
def put_products(body: ProductBatch) -> Answer[BatchResults]:
    """Create or replace up to 100 products: 207 with a result for each.

    Each product is treated as in `PUT /products/{productId}` without a condition. A mistake in one does not
    stop the others.
    """
    results = batch.put_each(body.items, put=_put, problem_of=api.problem_of)
    return Answer(HTTPStatus.MULTI_STATUS, results, is_final=results.is_final)


def _put(product_id: str, body: ProductPut, condition: Precondition) -> tuple[Product, bool]:
    return catalog.put_product(
        _products,
        product_id,
        body,
        default_currency=_default_currency,
        at=clock.now(),
        condition=condition,
    )


@api.route("PATCH", "/products/<product_id>", takes=ProductPatch, raises=(VersionRequired,))
def change_product(product_id: str, body: ProductPatch) -> Answer[Product]:
    """Change the fields that were sent, and no others.

    A new stock needs `If-Match` with the version that it is based on, because reservations change the stock.
    `If-Match: *` names no version.
    """
    changes = msgspec.to_builtins(body)
    if not changes:
        raise InvalidInput(
            f"expected at least one of {', '.join(ProductPatch.__struct_encode_fields__)}", "body"
        )
    versions = api.if_match()
    if "stock" in changes and versions is None:
        raise VersionRequired("a change of stock needs If-Match with the product's ETag")
    if changes.get("archived") is False:
        changes["archived"] = None  # absent, as in a product that never was archived
    return _one(_products.patch(product_id, changes, at=clock.now(), versions=versions))


@api.route("DELETE", "/products/<product_id>")
def delete_product(product_id: str) -> Answer[None]:
    """Delete a product. Priced orders keep its title and price."""
    _products.delete(product_id, versions=api.if_match())
    return Answer(HTTPStatus.NO_CONTENT)


@api.route(
    "POST",
    "/products/<product_id>/stock",
    takes=NewStockChange,
    raises=(InsufficientStock,),
    idempotent=True,
)
def change_stock(product_id: str, body: NewStockChange) -> Answer[Product]:
    """Add to the stock of a product, or take from it: a delivery, a loss, a correction.

    Unlike a new number by PATCH it needs no version, because it does not overwrite what orders reserve.
    """
    change = StockChange(change=body.change, at=clock.now(), reason=body.reason)
    mark = None if api.kept_request is None else _requests.marking(api.kept_request)
    return _one(stock.change_stock(_products, product_id, change, mark=mark))


@api.route("POST", "/quotes", takes=NewQuote, idempotent=True)
def create_quote(body: NewQuote) -> Answer[Quote]:
    """Get the prices and the availability of lines today.

    A quote is not stored. It reserves no stock and promises no price.
    """
    check_distinct(body.items)
    return Answer(
        HTTPStatus.OK, quote(body.items, _products.find_each(line.product_id for line in body.items))
    )


def _one(product: Product, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Answer[Product]:
    return Answer(status, product, {"ETag": etag(product.version), **headers})
