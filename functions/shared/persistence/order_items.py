"""Items of the orders table: reading them, and conditional writes of one order.

A refused write returns the order as DynamoDB found it (ReturnValuesOnConditionCheckFailure). So the common
case reads nothing before it writes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import NotFound, Superseded
from functions.shared.domain.orders import Order
from functions.shared.persistence.dynamodb import (
    Item,
    UpdateExpression,
    from_item,
    is_condition_failure,
    item_before,
    own_first_try,
    write,
)

# Shards of the indexes `byTime` and `failed`. One partition takes 1,000 writes a second; a list reads all
# shards. More may be added: orders that are stored keep their shard.
LIST_SHARDS = tuple("01234567")


def list_shard_of(order_id: str) -> str:
    """Returns the shard of the indexes `byTime` and `failed` in which a new order is entered."""
    return LIST_SHARDS[zlib.crc32(order_id.encode()) % len(LIST_SHARDS)]


def order_from(item: Item | None, order_id: str) -> Order:
    """Returns the order of a stored item. Raises `NotFound` when there is no item."""
    if not item:
        raise NotFound(f"there is no order {order_id}")
    return msgspec.convert(from_item(item), Order)


def order_before(error: ClientError, order_id: str) -> Order:
    """Returns the order as a refused write found it.

    Raises `NotFound`, and the error itself when it is no refusal by the write's condition.
    """
    if not is_condition_failure(error):
        raise error
    return order_from(item_before(error), order_id)


def require_revision(update: UpdateExpression, order: Order) -> None:
    """Requires that nothing was written to an order since it was read."""
    if order.revision:
        update.require_equal("revision", order.revision)
    else:
        update.require_exists("orderId").require_absent("revision")


class OrderItems:
    """The orders table."""

    def __init__(self, client: Any, table: str) -> None:
        self.client = client
        self.table = table

    @staticmethod
    def key(order_id: str) -> Item:
        """Returns the key of an order's item."""
        return {"orderId": {"S": order_id}}

    def find(self, order_id: str, *, consistent: bool) -> Order | None:
        """Returns the order, or None. An eventually consistent read costs half."""
        answer = self.client.get_item(TableName=self.table, Key=self.key(order_id), ConsistentRead=consistent)
        return order_from(answer["Item"], order_id) if "Item" in answer else None

    def get(self, order_id: str) -> Order:
        """Returns the order as it is now. Raises `NotFound`."""
        order = self.find(order_id, consistent=True)
        return order if order is not None else order_from(None, order_id)

    def update(self, order_id: str, update: UpdateExpression) -> Order:
        """Writes one order and returns it as it is then. Raises botocore's errors."""
        try:
            answer = write(self.client.update_item, ReturnValues="ALL_NEW", **self._change(order_id, update))
        except ClientError as error:
            written = own_first_try(error, update)
            if written is None:
                raise
            return order_from(written, order_id)
        return order_from(answer["Attributes"], order_id)

    def update_if(self, order_id: str, update: UpdateExpression) -> None:
        """Writes one order if its condition holds. Raises botocore's other errors."""
        try:
            self.update(order_id, update)
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def update_or_superseded(self, order_id: str, update: UpdateExpression) -> Order:
        """Writes one order and returns it as it is then.

        Raises `Superseded` when its condition does not hold, `NotFound`, and botocore's errors.
        """
        try:
            return self.update(order_id, update)
        except ClientError as error:
            now = order_before(error, order_id)
            raise Superseded(f"the order is {now.status.value} in attempt {now.attempt}") from error

    def transact(self, order_id: str, update: UpdateExpression, others: Sequence[dict[str, Any]]) -> None:
        """Writes one order together with updates of other tables: all or none. Raises botocore's errors."""
        changes = (self._change(order_id, update), *others)
        self.client.transact_write_items(TransactItems=[{"Update": change} for change in changes])

    def _change(self, order_id: str, update: UpdateExpression) -> dict[str, Any]:
        return {
            "TableName": self.table,
            "Key": self.key(order_id),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            # Every write counts, so that a report can require the order that it was decided on.
            **update.count("revision").parameters(),
        }
