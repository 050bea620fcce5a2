"""Orders what is in a basket: stores the order and empties the basket, then sends the order to the queue."""

from __future__ import annotations

from functions.orders_api.placing import send_if_pending
from functions.shared import clock
from functions.shared.domain.baskets import Basket, NewCheckout
from functions.shared.domain.errors import StoreContention
from functions.shared.domain.ids import basket_order_id
from functions.shared.domain.orders import Order, new_order
from functions.shared.domain.pricing import check_orderable, quote
from functions.shared.domain.products import Product
from functions.shared.observability import logger
from functions.shared.order_queue import OrderQueue
from functions.shared.persistence.baskets import BasketRepository
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.records import Records
from functions.shared.persistence.requests import KeptRequest, RequestRepository

# Seconds before the next try. Another request's transaction holds the basket for milliseconds.
_PAUSES = (0.05, 0.1, 0.2)


def check_out(
    user_id: str,
    new: NewCheckout,
    *,
    versions: set[int] | None,
    correlation_id: str,
    at: str,
    stalled_after_minutes: int,
    baskets: BasketRepository,
    products: Records[Product],
    orders: OrderRepository,
    queue: OrderQueue,
    requests: RequestRepository,
    request: KeptRequest | None,
) -> tuple[Order, bool]:
    """Makes one order of a basket, however often it is repeated. Returns it, and whether it is new.

    The order's id derives from the basket's, and both change in one transaction. So of two checkouts one
    makes the order. The other finds the basket changed and reads it again. `request` is the entry of a
    request with an `Idempotency-Key`: it makes one order, even if the basket has new products when it runs
    again. Raises `BasketEmpty`, `NotOrderable`, `InsufficientStock`, `PriceChanged`, `VersionMismatch` and
    `StoreContention`.
    """
    for seconds in _PAUSES:
        basket = baskets.find(user_id, at=at)
        known = (request and request.effect) or basket.known_order(versions, clock.epoch(at))
        if known is not None:
            order, is_new = orders.get(known), False
            break
        basket.check_version(versions)
        order, is_new = _order_of(basket, new, at, stalled_after_minutes), True
        found = products.find_each(line.product_id for line in basket.lines)
        check_orderable(quote(basket.lines, found), new.expected_total)
        try:
            mark = None if request is None else requests.marking(request, order.order_id)
            if baskets.check_out(basket, order.order_id, orders.put_of(order), at=at, mark=mark):
                break
        except StoreContention:
            logger.info("another request holds the basket")
        clock.pause(seconds)
    else:
        raise StoreContention("other requests change this basket")
    logger.append_keys(order_id=order.order_id)
    send_if_pending(order, correlation_id, queue)
    return order, is_new


def _order_of(basket: Basket, new: NewCheckout, at: str, stalled_after_minutes: int) -> Order:
    return new_order(
        new.order_of(basket),
        order_id=basket_order_id(basket.basket_id or ""),
        at=at,
        due_at=clock.minutes_after(at, stalled_after_minutes),
        with_fingerprint=False,
    )
