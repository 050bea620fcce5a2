"""Orders: placing, reading, and moving them.

Every change is one conditional write, generated from the domain's tables (`shared/domain/moves.py`). The
domain explains a refused write: it is a repeat, or a named error.
"""

from __future__ import annotations

from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.moves import (
    CONDITIONS,
    Conditions,
    Move,
    MoveResult,
    StockRule,
    raise_unless_repeated,
    sources_of,
)
from functions.shared.domain.orders import OPEN_STATUSES, Order, OrderStatus, ReservationState
from functions.shared.persistence.dynamodb import UpdateExpression, item_before, struct_to_item, was_repeated
from functions.shared.persistence.open_index import OpenIndex, shard_of
from functions.shared.persistence.order_items import OrderItems, order_before, order_from
from functions.shared.persistence.pages import Page, decode_token, encode_token
from functions.shared.persistence.records import batch_get


class OrderRepository:
    """The orders table."""

    def __init__(self, client: Any, table: str) -> None:
        self._items = OrderItems(client, table)
        self.open_index = OpenIndex(self._items)

    def create(self, order: Order) -> Order | None:
        """Stores a new order and enters it in the index of open orders.

        Returns None, or the present order when there is one under this id already.
        """
        put = self.put_of(order)
        try:
            self._items.client.put_item(**put)
        except ClientError as error:
            present = order_before(error, order.order_id)
            return None if was_repeated(error) and item_before(error) == put["Item"] else present
        return None

    def put_of(self, order: Order) -> dict[str, Any]:
        """Returns the parameters of the PutItem that stores a new order, for a transaction too."""
        return {
            "TableName": self._items.table,
            "Item": struct_to_item(msgspec.structs.replace(order, open_shard=shard_of(order.order_id))),
            "ConditionExpression": "attribute_not_exists(orderId)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def find(self, order_id: str, *, consistent: bool = True) -> Order | None:
        """Returns the order, or None. An eventually consistent read costs half."""
        answer = self._items.client.get_item(
            TableName=self._items.table, Key=self._items.key(order_id), ConsistentRead=consistent
        )
        return order_from(answer["Item"], order_id) if "Item" in answer else None

    def get(self, order_id: str) -> Order:
        """Returns the order as it is now. Raises `NotFound`."""
        order = self.find(order_id)
        return order if order is not None else order_from(None, order_id)

    def list_of_user(self, user_id: str, limit: int, token: str | None) -> Page[Order]:
        """Returns one page of a user's orders, newest first, by one Query and one BatchGetItem.

        Raises `InvalidPageToken`.
        """
        list_name = f"orders of {user_id}"
        start = decode_token(list_name, frozenset({"orderId", "userId", "createdAt"}), token, userId=user_id)
        answer = self._items.client.query(
            TableName=self._items.table,
            IndexName="byUser",
            KeyConditionExpression="userId = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )
        ids = [item["orderId"]["S"] for item in answer["Items"]]
        found = {
            item["orderId"]["S"]: order_from(item, item["orderId"]["S"])
            for item in batch_get(self._items.client, self._items.table, "orderId", ids)
        }
        return Page(
            items=[found[order_id] for order_id in ids if order_id in found],
            next_token=encode_token(list_name, answer.get("LastEvaluatedKey")),
        )

    def move(self, move: Move, *, stay_open: bool = False) -> MoveResult:
        """Makes one move of an order, once. A repeat changes nothing.

        A final order leaves the index of open orders. With `stay_open` it stays until its event is published.
        Raises `NotFound`, `OrderCancelled`, `Superseded`, `TooLateToCancel`.
        """
        update = (
            UpdateExpression()
            .set("status", move.to)
            .set("updatedAt", move.at)
            .append("history", _entry(move))
            .require_one_of("status", sources_of(move.to))
        )
        if move.attempt is not None:
            update.require_equal("attempt", move.attempt)
        _require(update, CONDITIONS[move.to])
        if move.reason is None:
            update.remove("statusReason")
        else:
            update.set("statusReason", move.reason)
        if move.pricing is not None:
            update.set("items", msgspec.to_builtins(move.pricing.items))
            update.set("total", move.pricing.total).set("currency", move.pricing.currency)
        if move.shipment is not None:
            update.set("shipment", msgspec.to_builtins(move.shipment))
        if move.to not in OPEN_STATUSES and not stay_open:
            update.remove("openShard", "dueAt")
        try:
            return MoveResult(self._items.update(move.order_id, update), changed=True)
        except ClientError as error:
            order = order_before(error, move.order_id)
            raise_unless_repeated(order, move)
            return MoveResult(order, changed=False)

    def retry(self, order: Order, *, at: str, due_at: str) -> Order:
        """Puts a failed order back to PENDING with its next attempt. It keeps its prices and its reservation.

        Raises `Superseded` when the order is no longer in the attempt that `order` shows, or did not fail.
        """
        update = (
            UpdateExpression()
            .set("status", OrderStatus.PENDING)
            .set("updatedAt", at)
            .append("history", {"status": OrderStatus.PENDING, "at": at})
            .set("attempt", order.attempt + 1)
            .set("firstAttempt", order.attempt + 1)
            .set("openShard", shard_of(order.order_id))
            .set("dueAt", due_at)
            .remove("statusReason")
            .require_equal("attempt", order.attempt)
            .require_one_of("status", sources_of(OrderStatus.PENDING))
        )
        return self._items.update_or_superseded(order.order_id, update)

    def begin_attempt(self, order: Order, *, at: str, due_at: str) -> Order:
        """Gives an open order its next attempt. The present attempt can change nothing after that.

        Raises `Superseded` when the order is no longer in the attempt that `order` shows.
        """
        update = (
            UpdateExpression()
            .add("attempt", 1)
            .set("dueAt", due_at)
            .set("updatedAt", at)
            .require_equal("attempt", order.attempt)
            .require_one_of("status", OPEN_STATUSES)
        )
        return self._items.update_or_superseded(order.order_id, update)


def _entry(move: Move) -> dict[str, str]:
    entry = {"status": move.to.value, "at": move.at}
    return entry if move.reason is None else entry | {"reason": move.reason}


def _require(update: UpdateExpression, conditions: Conditions) -> None:
    """Adds the domain's conditions to a write. `conditions_hold` checks the same of an order in memory."""
    rule = conditions.stock
    if rule is StockRule.ANY:
        return
    state, held = update.name("reservation.state"), update.value(ReservationState.HELD)
    if rule is StockRule.HELD:
        update.require(f"{state} = {held}")
        return
    not_held = f"attribute_not_exists({update.name('reservation')}) OR {state} <> {held}"
    if rule is StockRule.NOT_HELD_OR_HANDED_OVER:
        not_held += f" OR attribute_exists({update.name('reservation.handedOverTo')})"
    update.require(not_held)
