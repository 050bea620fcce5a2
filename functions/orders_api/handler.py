"""The routes of orders."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from functions.orders_api.checkout import check_out
from functions.orders_api.placing import place_order
from functions.orders_api.queries import OF_ALL_USERS, OF_USER, order_query
from functions.shared import aws, clock
from functions.shared.domain.baskets import NewCheckout
from functions.shared.domain.errors import (
    BasketEmpty,
    IdempotencyKeyReused,
    InsufficientStock,
    NotOrderable,
    PriceChanged,
    TooLateToCancel,
    VersionMismatch,
)
from functions.shared.domain.moves import Move
from functions.shared.domain.orders import NewOrder, Order, OrderStatus
from functions.shared.domain.shipping import ask_to_cancel
from functions.shared.environment import required
from functions.shared.events import EventBus
from functions.shared.http import PAGE, Answer, Api, etag_of
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import emit, logger
from functions.shared.order_queue import OrderQueue
from functions.shared.order_view import OrderView, view
from functions.shared.persistence import records
from functions.shared.persistence.baskets import BasketRepository
from functions.shared.persistence.order_lists import OrderLists
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.pages import Page
from functions.shared.persistence.reports import Reports
from functions.shared.persistence.requests import RequestRepository
from functions.shared.reporting import Reporting

_dynamodb = aws.client("dynamodb")
_requests = RequestRepository(_dynamodb, required("REQUESTS_TABLE"))
api = Api(_requests)
_users = records.users(_dynamodb, required("USERS_TABLE"))
_products = records.products(_dynamodb, required("PRODUCTS_TABLE"))
_baskets = BasketRepository(_dynamodb, required("BASKETS_TABLE"))
_orders = OrderRepository(_dynamodb, required("ORDERS_TABLE"))
_stalled_after_minutes = int(required("STALLED_AFTER_MINUTES"))
_lists = OrderLists(_dynamodb, required("ORDERS_TABLE"), stalled_after_minutes=_stalled_after_minutes)
_queue = OrderQueue(aws.client("sqs"), required("ORDERS_QUEUE_URL"))
_lifecycle = OrderLifecycle(
    _orders,
    EventBus.of_stack(lambda: aws.client("events")),
)
_reporting = Reporting(Reports(_dynamodb, required("ORDERS_TABLE"), required("PRODUCTS_TABLE")), _lifecycle)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


@api.route("POST", "/orders", takes=NewOrder, raises=(IdempotencyKeyReused,))
def create_order(body: NewOrder) -> Answer[OrderView]:
    """Place an order: 201, or 200 with the first order for a repeat."""
    order, is_new = place_order(
        body,
        client=api.client,
        key=api.idempotency_key(),
        correlation_id=api.request_id,
        at=clock.now(),
        stalled_after_minutes=_stalled_after_minutes,
        orders=_orders,
        queue=_queue,
    )
    return _placed(order, f"{api.location}/{order.order_id}", is_new=is_new)


@api.route(
    "POST",
    "/users/<user_id>/basket/checkout",
    takes=NewCheckout,
    raises=(BasketEmpty, NotOrderable, InsufficientStock, PriceChanged, VersionMismatch),
    idempotent=True,
)
def check_out_basket(user_id: str, body: NewCheckout) -> Answer[OrderView]:
    """Order what is in a basket, and empty it: 201, or 200 with the same order for a repeat within 24 hours.

    A checkout is a repeat if the basket is empty since, or if `If-Match` names the version that was ordered.
    """
    _users.check_exists(user_id)
    order, is_new = check_out(
        user_id,
        body,
        versions=api.if_match(),
        correlation_id=api.request_id,
        at=clock.now(),
        stalled_after_minutes=_stalled_after_minutes,
        baskets=_baskets,
        products=_products,
        orders=_orders,
        queue=_queue,
        requests=_requests,
        request=api.kept_request,
    )
    root = api.location.removesuffix(f"/users/{user_id}/basket/checkout")
    return _placed(order, f"{root}/orders/{order.order_id}", is_new=is_new)


@api.route("GET", "/orders/<order_id>")
def get_order(order_id: str) -> Answer[OrderView]:
    """Get one order, with its history."""
    order = view(_orders.get(order_id))
    return Answer(HTTPStatus.OK, order, {"ETag": etag_of(order)})


@api.route("GET", "/orders", query=(*OF_ALL_USERS, *PAGE))
def list_orders() -> Answer[Page[OrderView]]:
    """Get a page of orders, newest first.

    PENDING and VALIDATED orders are sorted by their last attempt, IN_FULFILLMENT ones by the time at which
    they are due, all others by `createdAt`.
    """
    return _list(None)


@api.route("GET", "/users/<user_id>/orders", query=(*OF_USER, *PAGE))
def list_orders_of_user(user_id: str) -> Answer[Page[OrderView]]:
    """Get a page of a user's orders, newest first."""
    return _list(user_id)


@api.route("POST", "/orders/<order_id>/cancel", raises=(TooLateToCancel,), idempotent=True)
def cancel_order(order_id: str) -> Answer[OrderView]:
    """Cancel an order. 409 if its stock is reserved already.

    An order in fulfillment is not cancelled but asked for: 202, and the fulfillment system decides. The order
    shows `cancelRequestedAt`, and then CANCELLED or `cancelRefusedAt`.
    """
    at = clock.now()
    try:
        order, changed = _lifecycle.make_final_move(Move(order_id=order_id, to=OrderStatus.CANCELLED, at=at))
    except TooLateToCancel:
        if _orders.get(order_id).status is not OrderStatus.IN_FULFILLMENT:
            raise
        asked = _reporting.record(order_id, partial(ask_to_cancel, at=at), at=at)
        return Answer(HTTPStatus.ACCEPTED, view(asked.order))
    if changed:
        emit(counts=("OrdersCancelled",))
    return Answer(HTTPStatus.OK, view(order))


def _placed(order: Order, location: str, *, is_new: bool) -> Answer[OrderView]:
    headers = {"Location": location}
    if not is_new:
        return Answer(HTTPStatus.OK, view(order), headers)
    emit(counts=("OrdersPlaced",))
    return Answer(HTTPStatus.CREATED, view(order), headers)


def _list(user_id: str | None) -> Answer[Page[OrderView]]:
    query = order_query(api.parameter, user_id=user_id, today=clock.now()[:10])
    page = _lists.page(query, *api.page(), size_of=lambda order: len(msgspec.json.encode(view(order))))
    return Answer(
        HTTPStatus.OK,
        Page[OrderView](items=[view(order) for order in page.items], next_token=page.next_token),
    )
