"""The index `open`: the orders for which something is still owed, by the time at which to look again."""

from __future__ import annotations

from typing import NamedTuple

from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus
from functions.shared.persistence.dynamodb import Item, UpdateExpression
from functions.shared.persistence.order_items import OrderItems, require_revision

# The last digit of an order's id, which is a UUID: the state machine can compute it too. One partition takes
# 1,000 writes a second.
OPEN_SHARDS = tuple("0123456789abcdef")


class OpenOrder(NamedTuple):
    """An entry of the index, and the time from which on the order is due."""

    order_id: str
    due_at: str


def shard_of(order_id: str) -> str:
    """Returns the shard of the index in which an order is entered."""
    return order_id[-1]


def change_entry(update: UpdateExpression, status: OrderStatus, due_at: str | None) -> None:
    """Adds to a write: a final order leaves the index. Another is due at `due_at`, or as before."""
    if status not in UNFINISHED_STATUSES:
        update.remove("openShard", "dueAt")
    elif due_at is not None:
        update.set("dueAt", due_at)


class OpenIndex:
    """The index, by its own operations.

    Moves write it too (see `OrderRepository`), and the state ReturnToOpenIndex of the workflow.
    """

    def __init__(self, items: OrderItems) -> None:
        self._items = items

    def list(
        self, shard: str, until: str, limit: int, start: Item | None
    ) -> tuple[list[OpenOrder], Item | None]:
        """Returns a shard's entries due by a time, earliest first, and where to continue (None: the end).

        The index lags behind the table. Raises botocore's errors.
        """
        answer = self._items.client.query(
            TableName=self._items.table,
            IndexName="open",
            KeyConditionExpression="openShard = :shard AND dueAt <= :until",
            ExpressionAttributeValues={":shard": {"S": shard}, ":until": {"S": until}},
            Limit=limit,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        entries = [OpenOrder(item["orderId"]["S"], item["dueAt"]["S"]) for item in answer["Items"]]
        return entries, answer.get("LastEvaluatedKey")

    def postpone(self, order: Order, due_at: str) -> None:
        """Makes an order due at another time, unless it changed since it was read."""
        update = UpdateExpression().set("dueAt", due_at).require_exists("openShard")
        require_revision(update, order)
        self._items.update_if(order.order_id, update)

    def record_sent(self, order: Order, *, due_at: str | None) -> None:
        """Records that all events of an order are sent, unless it changed since it was read.

        A final order leaves the index. Another is due at `due_at`, or as before.
        """
        update = UpdateExpression().remove("unsent")
        require_revision(update, order)
        change_entry(update, order.status, due_at)
        self._items.update_if(order.order_id, update)
