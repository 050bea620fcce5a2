"""The index `open`: orders that wait for work, and final orders whose event is not yet published."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from functions.shared.domain.orders import OPEN_STATUSES, Order, OrderStatus
from functions.shared.persistence.dynamodb import Item, UpdateExpression
from functions.shared.persistence.order_items import OrderItems

# One partition takes 1,000 writes a second.
OPEN_SHARDS = tuple(str(shard) for shard in range(8))


class OpenOrder(NamedTuple):
    """An entry of the index, and the time since which it is there."""

    order_id: str
    since: str


def shard_of(order_id: str) -> str:
    """Returns the shard of the index in which an order is entered."""
    return OPEN_SHARDS[zlib.crc32(order_id.encode()) % len(OPEN_SHARDS)]


class OpenIndex:
    """The index, by its own operations. Moves write it too: see `OrderRepository`."""

    def __init__(self, items: OrderItems) -> None:
        self._items = items

    def list(
        self, shard: str, before: str, limit: int, start: Item | None
    ) -> tuple[list[OpenOrder], Item | None]:
        """Returns a shard's entries from before a time, oldest first, and where to continue (None: the end).

        The index lags behind the table. Raises botocore's errors.
        """
        answer = self._items.client.query(
            TableName=self._items.table,
            IndexName="open",
            KeyConditionExpression="openShard = :shard AND openSince < :before",
            ExpressionAttributeValues={":shard": {"S": shard}, ":before": {"S": before}},
            Limit=limit,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        entries = [OpenOrder(item["orderId"]["S"], item["openSince"]["S"]) for item in answer["Items"]]
        return entries, answer.get("LastEvaluatedKey")

    def add(self, order: Order, at: str) -> None:
        """Enters a final order, because its event could not be published."""
        update = (
            UpdateExpression()
            .set("openShard", shard_of(order.order_id))
            .set("openSince", at)
            .require_equal("status", order.status)
        )
        self._items.update_if(order.order_id, update)

    def remove(self, order_id: str) -> None:
        """Removes a final order. An order that is open again stays."""
        update = (
            UpdateExpression()
            .remove("openShard", "openSince")
            .require_one_of("status", [status for status in OrderStatus if status not in OPEN_STATUSES])
        )
        self._items.update_if(order_id, update)
