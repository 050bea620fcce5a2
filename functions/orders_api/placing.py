"""Accepts an order: stores it, then sends it to the queue."""

from __future__ import annotations

import uuid

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import IdempotencyKeyReused
from functions.shared.domain.ids import order_id_for
from functions.shared.domain.orders import NewOrder, Order, OrderStatus, new_order
from functions.shared.observability import logger
from functions.shared.order_queue import OrderMessage, OrderQueue
from functions.shared.persistence.orders import OrderRepository


def place_order(
    new: NewOrder,
    *,
    client: str,
    key: str | None,
    correlation_id: str,
    at: str,
    stalled_after_minutes: int,
    orders: OrderRepository,
    queue: OrderQueue,
) -> tuple[Order, bool]:
    """Accepts an order, once per client, user and idempotency key. Returns it, and whether it is new.

    A stored order is accepted, even if the queue does not take it. It is in the index of open orders, and the
    requeue sends it. A client's repeat sends an order that is still PENDING again, because its first message
    may be lost. Raises `InvalidInput`, and `IdempotencyKeyReused` if the key came with another order before.
    """
    order_id = str(uuid.uuid4()) if key is None else order_id_for(client, new.user_id, key)
    logger.append_keys(order_id=order_id)
    order = new_order(
        new,
        order_id=order_id,
        at=at,
        due_at=clock.minutes_after(at, stalled_after_minutes),
        with_fingerprint=key is not None,
    )
    first = orders.create(order)
    if first is not None and first.request_hash != order.request_hash:
        raise IdempotencyKeyReused("this Idempotency-Key came with another request before")
    accepted = first or order
    send_if_pending(accepted, correlation_id, queue)
    return accepted, first is None


def send_if_pending(order: Order, correlation_id: str, queue: OrderQueue) -> None:
    """Sends an accepted order to the queue, unless the workflow has it already.

    If the queue does not take it, the requeue sends it later.
    """
    if order.status is not OrderStatus.PENDING:
        return
    message = OrderMessage(order_id=order.order_id, attempt=order.attempt, correlation_id=correlation_id)
    try:
        queue.send(message)
    except (ClientError, BotoCoreError) as error:
        logger.warning("not queued, left to the requeue", exc_info=error)
