"""The routes of baskets. `orders_api` has the checkout, which stores an order."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from functions.baskets_api.views import BasketView
from functions.shared import aws, clock
from functions.shared.domain.baskets import Basket, NewBasketLine
from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.pricing import quote
from functions.shared.domain.products import Product
from functions.shared.environment import required
from functions.shared.http import Answer, Api, etag
from functions.shared.observability import logger
from functions.shared.persistence import records
from functions.shared.persistence.baskets import BasketRepository

api = Api()
_dynamodb = aws.client("dynamodb")
_users = records.users(_dynamodb, required("USERS_TABLE"))
_products = records.products(_dynamodb, required("PRODUCTS_TABLE"))
_baskets = BasketRepository(_dynamodb, required("BASKETS_TABLE"))
_kept_seconds = int(required("BASKET_DAYS")) * 24 * 60 * 60


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


@api.route("GET", "/users/<user_id>/basket", revalidates=False)
def get_basket(user_id: str) -> Answer[BasketView]:
    """Get a user's basket at today's prices.

    The `ETag` is the version of the basket. It stays when a price changes, so `If-None-Match` is ignored.
    """
    _users.check_exists(user_id)
    return _one(_baskets.find(user_id, at=clock.now()))


@api.route("DELETE", "/users/<user_id>/basket")
def clear_basket(user_id: str) -> Answer[None]:
    """Remove all products from a basket."""
    _users.check_exists(user_id)
    at = clock.now()
    _baskets.clear(user_id, at=at, expires_at=_expiry(at), versions=api.if_match())
    return Answer(HTTPStatus.NO_CONTENT)


@api.route("PUT", "/users/<user_id>/basket/items/<product_id>", takes=NewBasketLine)
def put_basket_item(user_id: str, product_id: str, body: NewBasketLine) -> Answer[BasketView]:
    """Put a product into a basket, or change its quantity.

    Changes of other products at the same time remain.
    """
    _users.check_exists(user_id)
    products = _products.find_each([product_id])
    if product_id not in products:
        raise InvalidInput(f"there is no product {product_id}", "productId")
    if products[product_id].archived:
        raise InvalidInput(f"the product {product_id} is archived: it is no longer for sale", "productId")
    at, versions = clock.now(), api.if_match()
    basket = _baskets.put_line(
        user_id, product_id, body.quantity, at=at, expires_at=_expiry(at), versions=versions
    )
    return _one(basket, products)


@api.route("DELETE", "/users/<user_id>/basket/items/<product_id>")
def delete_basket_item(user_id: str, product_id: str) -> Answer[BasketView]:
    """Remove a product from a basket. A basket without it stays as it is."""
    _users.check_exists(user_id)
    at, versions = clock.now(), api.if_match()
    return _one(_baskets.remove_line(user_id, product_id, at=at, expires_at=_expiry(at), versions=versions))


def _expiry(at: str) -> int:
    return clock.epoch(at) + _kept_seconds


def _one(basket: Basket, read: dict[str, Product] | None = None) -> Answer[BasketView]:
    """Returns the basket at the present prices. `read` are products that were read already."""
    known = read or {}
    lines = basket.lines
    products = known | _products.find_each(line.product_id for line in lines if line.product_id not in known)
    priced = quote(lines, products)
    view = BasketView(
        items=priced.items, total=priced.total, currency=priced.currency, basket_id=basket.basket_id
    )
    return Answer(HTTPStatus.OK, view, {"ETag": etag(basket.version)})
