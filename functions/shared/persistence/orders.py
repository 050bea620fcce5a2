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
from functions.shared.domain.orders import (
    OPEN_STATUSES,
    UNFINISHED_STATUSES,
    Order,
    OrderStatus,
    ReservationState,
)
from functions.shared.persistence.dynamodb import (
    UpdateExpression,
    item_before,
    struct_to_item,
    to_item,
    was_repeated,
)
from functions.shared.persistence.open_index import OpenIndex, change_entry, shard_of
from functions.shared.persistence.order_items import OrderItems, list_shard_of, order_before


class OrderRepository:
    """The orders table."""

    def __init__(self, client: Any, table: str) -> None:
        self._items = OrderItems(client, table)
        self.open_index = OpenIndex(self._items)

    def create(self, order: Order) -> Order | None:
        """Stores a new order. Enters it in the indexes `open` and `byTime`.

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
        item = struct_to_item(msgspec.structs.replace(order, open_shard=shard_of(order.order_id)))
        return {
            "TableName": self._items.table,
            "Item": item | to_item({"timeShard": list_shard_of(order.order_id)}),
            "ConditionExpression": "attribute_not_exists(orderId)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def find(self, order_id: str, *, consistent: bool = True) -> Order | None:
        """Returns the order, or None. An eventually consistent read costs half."""
        return self._items.find(order_id, consistent=consistent)

    def get(self, order_id: str) -> Order:
        """Returns the order as it is now. Raises `NotFound`."""
        return self._items.get(order_id)

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
            # A parcel that was reported in the meantime must not be overwritten.
            update.set("shipments", [msgspec.to_builtins(move.shipment)])
            update.require_absent("shipments").require_absent("refusals")
        if move.in_place:
            update.require_absent("reservation.handedOverTo")
        if move.to is OrderStatus.FAILED:
            update.set("failedShard", list_shard_of(move.order_id))
        if move.to in UNFINISHED_STATUSES or not stay_open:
            change_entry(update, move.to, move.due_at)
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
            # Refusals count for the reservation under which they were made.
            .remove("statusReason", "failedShard", *([] if order.holds_stock else ["refusals"]))
            .require_equal("attempt", order.attempt)
            .require_one_of("status", sources_of(OrderStatus.PENDING))
        )
        _require(update, CONDITIONS[OrderStatus.PENDING])
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
    if rule is StockRule.HELD_OR_NOT_SHIPPED:
        update.require(f"{state} = {held} OR attribute_not_exists({update.name('shipments')})")
        return
    not_held = f"attribute_not_exists({update.name('reservation')}) OR {state} <> {held}"
    if rule is StockRule.NOT_HELD_OR_HANDED_OVER:
        not_held += f" OR attribute_exists({update.name('reservation.handedOverTo')})"
    update.require(not_held)
