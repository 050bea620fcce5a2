"""How an order is accepted: stored first, then put on the queue."""

from __future__ import annotations

import uuid

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared.domain.errors import IdempotencyKeyReused
from functions.shared.domain.ids import order_id_for
from functions.shared.domain.orders import NewOrder, Order, new_order
from functions.shared.observability import logger
from functions.shared.order_queue import OrderMessage, OrderQueue
from functions.shared.persistence.orders import OrderRepository


def place_order(
    new: NewOrder,
    *,
    key: str | None,
    correlation_id: str,
    at: str,
    orders: OrderRepository,
    queue: OrderQueue,
) -> tuple[Order, bool]:
    """Accept an order, once per idempotency key, and answer it and whether it is new.

    From the moment it is stored it is accepted, also when the queue does not take it: it stands in the index
    of open orders, where the requeue finds it. Raises `InvalidInput`, and `IdempotencyKeyReused` when the key
    came with another order before.
    """
    order_id = str(uuid.uuid4()) if key is None else order_id_for(new.user_id, key)
    logger.append_keys(order_id=order_id)
    order = new_order(new, order_id=order_id, at=at, with_fingerprint=key is not None)
    first = orders.create(order)
    if first is not None:
        if first.request_hash != order.request_hash:
            raise IdempotencyKeyReused("this Idempotency-Key came with another order before")
        return first, False
    try:
        queue.send(OrderMessage(order_id=order_id, attempt=order.attempt, correlation_id=correlation_id))
    except (ClientError, BotoCoreError) as error:
        logger.warning("not queued, left to the requeue", exc_info=error)
    return order, True
