"""Checks whether an order can be fulfilled, and prices it."""

from __future__ import annotations

from functions.shared.domain.errors import OrderRejected, RejectionCode
from functions.shared.domain.moves import raise_no_longer_current
from functions.shared.domain.orders import Order, Pricing, ValidatedOrder
from functions.shared.domain.pricing import price
from functions.shared.domain.products import Product
from functions.shared.domain.users import User
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.records import Records


def validate(
    order_id: str,
    attempt: int,
    *,
    orders: OrderRepository,
    users: Records[User],
    products: Records[Product],
) -> ValidatedOrder:
    """Returns the prices of an order, from the products and never from the request.

    An order that was priced before keeps its prices, and is not checked again by a retry. Raises
    `OrderRejected` (see `RejectionCode`), `OrderCancelled`, `Superseded`, `NotFound`.
    """
    order = _current(orders, order_id, attempt)
    pricing = order.pricing or _price(order, users, products)
    return ValidatedOrder(
        pricing.items, pricing.total, pricing.currency, has_content=bool(order.for_fulfillment)
    )


def _price(order: Order, users: Records[User], products: Records[Product]) -> Pricing:
    if users.find(order.user_id, consistent=False) is None and users.find(order.user_id) is None:
        raise OrderRejected(RejectionCode.UNKNOWN_USER, f"there is no user {order.user_id}")
    found = products.find_each(line.product_id for line in order.items)
    return price(order.items, found, expected=order.expected_total)


def _current(orders: OrderRepository, order_id: str, attempt: int) -> Order:
    """Returns the order as this attempt expects it.

    An eventually consistent read costs half and is nearly always current. If it shows something else than
    this attempt expects, a consistent read decides.
    """
    order = orders.find(order_id, consistent=False)
    if order is None or order.attempt != attempt or not order.is_open:
        order = orders.get(order_id)
    if order.attempt != attempt or not order.is_open:
        raise_no_longer_current(order)
    return order
