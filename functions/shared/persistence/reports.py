"""Reports on an order, and what follows from them: parcels, refusals, returns, a cancellation by agreement.

The domain decides from the order as it is read (`shared/domain/shipping.py`). The write requires that the
order is still the same, so of two reports at the same time one decides again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import StoreContention
from functions.shared.domain.moves import recent_changes
from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus
from functions.shared.domain.shipping import Recorded
from functions.shared.persistence.dynamodb import UpdateExpression, is_condition_failure
from functions.shared.persistence.open_index import shard_of
from functions.shared.persistence.order_items import OrderItems, list_shard_of, require_revision
from functions.shared.persistence.reservations import write_with_stock

# Two parcels of one order at the same moment are common, five are not.
_TRIES = 5
# The open index is written by `due_at`, and the revision by every write.
_BOOKKEEPING = ("openShard", "dueAt", "revision")


class Reports:
    """Reports in the orders table, and what they change in the products table."""

    def __init__(self, client: Any, orders_table: str, products_table: str) -> None:
        self._items = OrderItems(client, orders_table)
        self._products_table = products_table

    def record(
        self,
        order_id: str,
        decide: Callable[[Order], Recorded],
        *,
        due_at: str,
        quiet_due_at: str | None = None,
    ) -> Recorded:
        """Changes an order as `decide` says, together with the stock: both or none.

        An order that owes an event is due at `due_at`. One in fulfillment that owes none is due at
        `quiet_due_at`, if that is given. Returns what was decided, with the order as it is stored. Raises
        `NotFound`, what `decide` raises, and `StoreContention`, after which a retry is safe.
        """
        order = self._items.get(order_id)
        for _ in range(_TRIES):
            recorded = decide(order)
            if recorded.order is order:
                return recorded
            update = _difference(order, recorded.order)
            if recorded.order.unsent:
                update.set("openShard", shard_of(order_id)).set("dueAt", due_at)
            elif quiet_due_at is not None and owed(recorded.order) is Obligation.WORD:
                update.set("dueAt", quiet_due_at)
            if recorded.order.status is OrderStatus.FAILED and order.status is not OrderStatus.FAILED:
                update.set("failedShard", list_shard_of(order_id))
            try:
                written = self._write(recorded, update)
            except _Changed:
                order = self._items.get(order_id)
                continue
            if written.status not in UNFINISHED_STATUSES and written.unsent and written.due_at != due_at:
                # The workflow returned the order to the index since the write: it owes its own moves too.
                moves_owed = [f"status/{change.number}" for change in recent_changes(written)]
                written = msgspec.structs.replace(written, unsent=[*written.unsent, *moves_owed])
            moves = tuple(entry.status for entry in recorded.order.history[len(order.history) :])
            return recorded._replace(order=written, is_changed=True, moves=moves)
        raise StoreContention("others report on the same order")

    def _write(self, recorded: Recorded, update: UpdateExpression) -> Order:
        order_id, at = recorded.order.order_id, recorded.order.updated_at
        if recorded.stock:
            refused = write_with_stock(
                self._items, self._products_table, order_id, update, recorded.stock, at=at
            )
            if refused is not None:
                raise _Changed
            return self._items.get(order_id)
        try:
            return self._items.update(order_id, update)
        except ClientError as error:
            if is_condition_failure(error):
                raise _Changed from error
            raise


class _Changed(Exception):
    """The order changed since it was read."""


def _difference(before: Order, after: Order) -> UpdateExpression:
    """Returns the update that makes one order of the other, if it is still as it was read."""
    update = UpdateExpression()
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    for name in _BOOKKEEPING:
        new.pop(name, None)
        old.pop(name, None)
    for name, value in new.items():
        if old.get(name) != value:
            update.set(name, value)
    gone = [name for name in old if name not in new]
    if gone:
        update.remove(*gone)
    require_revision(update, before)
    return update
