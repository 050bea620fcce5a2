"""Orders, and the stock they hold.

Every change is one conditional write, generated from the domain's tables of legal moves. When a write is
refused, DynamoDB hands back the order as it found it (ReturnValuesOnConditionCheckFailure), and the domain
says what that means: a repeat, or a named error. So the happy path reads nothing before it writes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import (
    NotFound,
    OrderRejected,
    StoreContention,
    Superseded,
)
from functions.shared.domain.orders import (
    OPEN_STATUSES,
    STOCK_RULES,
    Move,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
    StockRule,
    raise_unless_repeated,
    raise_unless_reserved,
    sources_of,
)
from functions.shared.persistence.dynamodb import (
    AttributeValue,
    Item,
    UpdateExpression,
    from_item,
    is_condition_failure,
    item_before,
    struct_to_item,
)
from functions.shared.persistence.pages import Page, decode_token, encode_token
from functions.shared.persistence.records import batch_get

# The index `open` is spread over this many partitions, each good for 1,000 writes a second.
OPEN_SHARDS = tuple(str(shard) for shard in range(8))

# Reasons of a cancelled transaction that pass by themselves.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_TRANSIENT = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class OpenOrder(NamedTuple):
    """An entry of the index `open`: an order that waits for work or for its event, and since when."""

    order_id: str
    since: str


class OrderRepository:
    """The orders table, and the stock of the products table as far as orders move it."""

    def __init__(self, client: Any, orders_table: str, products_table: str | None = None) -> None:
        """`products_table` is needed by `reserve` and `release` only."""
        self._client = client
        self._table = orders_table
        self._products_table = products_table

    # --- placing and reading ------------------------------------------------------------------------------

    def create(self, order: Order) -> Order | None:
        """Store a new order in the index of open ones.

        Returns None, or, when there is an order under this id already, that order as it is now.
        """
        stored = msgspec.structs.replace(order, open_shard=_shard_of(order.order_id))
        try:
            self._client.put_item(
                TableName=self._table,
                Item=struct_to_item(stored),
                ConditionExpression="attribute_not_exists(orderId)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            return self._order_before(error, order.order_id)
        return None

    def find(self, order_id: str, *, consistent: bool = True) -> Order | None:
        """The order, or None. An eventually consistent read costs half."""
        answer = self._client.get_item(TableName=self._table, Key=_key(order_id), ConsistentRead=consistent)
        return _read(answer["Item"]) if "Item" in answer else None

    def get(self, order_id: str) -> Order:
        """The order as it is now. Raises `NotFound`."""
        order = self.find(order_id)
        if order is None:
            raise _not_found(order_id)
        return order

    def list_of_user(self, user_id: str, limit: int, token: str | None) -> Page[Order]:
        """One page of a user's orders, newest first: one Query and one BatchGetItem, however many there are.

        Raises `InvalidPageToken`.
        """
        list_name = f"orders of {user_id}"
        start = decode_token(list_name, frozenset({"orderId", "userId", "createdAt"}), token, userId=user_id)
        answer = self._client.query(
            TableName=self._table,
            IndexName="byUser",
            KeyConditionExpression="userId = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )
        ids = [item["orderId"]["S"] for item in answer["Items"]]
        found = {
            item["orderId"]["S"]: _read(item) for item in batch_get(self._client, self._table, "orderId", ids)
        }
        return Page(
            items=[found[order_id] for order_id in ids if order_id in found],
            next_token=encode_token(list_name, answer.get("LastEvaluatedKey")),
        )

    # --- moving -------------------------------------------------------------------------------------------

    def move(self, move: Move, *, stay_open: bool = False) -> Order:
        """Make one move of an order, once: a repeat changes nothing and answers the order as it is.

        A final order leaves the index of open ones, unless it is to `stay_open` until its event is out.
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
        _require_stock(update, STOCK_RULES[move.to])
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
            update.remove("openShard", "openSince")
        try:
            return self._update(move.order_id, update)
        except ClientError as error:
            order = self._order_before(error, move.order_id)
            raise_unless_repeated(order, move)
            return order

    def retry(self, order: Order, *, at: str) -> Order:
        """Put a failed order back to PENDING and among the open ones, with a new attempt and all that may
        follow it. Prices and goods it has stay its own.

        Raises `Superseded` when the order is not as `order` shows it any more, or did not fail.
        """
        update = (
            UpdateExpression()
            .set("status", OrderStatus.PENDING)
            .set("updatedAt", at)
            .append("history", {"status": OrderStatus.PENDING, "at": at})
            .set("attempt", order.attempt + 1)
            .set("firstAttempt", order.attempt + 1)
            .set("openShard", _shard_of(order.order_id))
            .set("openSince", at)
            .remove("statusReason")
            .require_equal("attempt", order.attempt)
            .require_one_of("status", sources_of(OrderStatus.PENDING))
        )
        return self._update_or_superseded(order.order_id, update)

    def remove_from_open_index(self, order_id: str) -> None:
        """Take a final order out of the index of open ones; leaves an order alone that is open again."""
        update = (
            UpdateExpression()
            .remove("openShard", "openSince")
            .require_exists("openShard")
            .require_one_of("status", [status for status in OrderStatus if status not in OPEN_STATUSES])
        )
        self._update_if(order_id, update)

    def add_to_open_index(self, order: Order, at: str) -> None:
        """Put a final order back into the index of open ones, because its event could not be sent."""
        update = (
            UpdateExpression()
            .set("openShard", _shard_of(order.order_id))
            .set("openSince", at)
            .require_equal("status", order.status)
        )
        self._update_if(order.order_id, update)

    # --- stock --------------------------------------------------------------------------------------------

    def reserve(
        self, order_id: str, attempt: int, lines: Sequence[OrderLine], *, at: str, handed_over: bool = False
    ) -> Order | None:
        """Take the goods of a validated order off the shelf: all lines or none, once per order.

        Returns None when the goods were taken, or the order when it holds its goods already. Raises
        `OrderRejected` (stock, or a product that is gone), `OrderCancelled`, `Superseded`, `NotFound`, and
        `StoreContention`, after which a retry is safe.
        """
        reservation = Reservation(state=ReservationState.HELD, attempt=attempt, handed_over=handed_over)
        claim = (
            UpdateExpression()
            .set("reservation", msgspec.to_builtins(reservation))
            .set("updatedAt", at)
            .require_equal("status", OrderStatus.VALIDATED)
            .require_equal("attempt", attempt)
        )
        # Goods that this very attempt gave back were refused for good; only a later attempt may ask again.
        claim.require(
            f"attribute_not_exists({claim.name('reservation')}) OR "
            f"({claim.name('reservation.state')} = {claim.value(ReservationState.RELEASED)} AND "
            f"{claim.name('reservation.attempt')} < {claim.value(attempt)})"
        )
        takes = [self._stock_change(line, -line.quantity, at) for line in lines]
        try:
            self._transact(order_id, claim, takes)
        except ClientError as error:
            reasons = _cancellation_reasons(error)
            if reasons[0]["Code"] == "ConditionalCheckFailed":
                order = _order_or_not_found(reasons[0].get("Item"), order_id)
                raise_unless_reserved(order, attempt)
                return order
            _raise_if_passing(reasons[:1], error)
            for line, reason in zip(lines, reasons[1:], strict=True):
                if reason["Code"] == "ConditionalCheckFailed":
                    raise _out_of_stock(line, reason.get("Item")) from error
            _raise_if_passing(reasons, error)
            raise
        return None

    def hand_over(self, order_id: str, attempt: int, *, at: str) -> None:
        """Note that a held order is about to go to an outside fulfillment system.

        Raises `Superseded` when the order moved on meanwhile.
        """
        update = (
            UpdateExpression()
            .set("reservation.handedOver", True)
            .set("updatedAt", at)
            .require_equal("status", OrderStatus.VALIDATED)
            .require_equal("attempt", attempt)
            .require_equal("reservation.state", ReservationState.HELD)
        )
        self._update_or_superseded(order_id, update)

    def release(self, order: Order, *, at: str, even_if_handed_over: bool) -> bool:
        """Put the goods of an order back on the shelf, once; a product that is gone is passed over.

        The order must still be in the attempt that `order` shows. Returns whether goods were put back: an
        order that holds none is left as it is. Raises `Superseded` when the order moved on, or was handed
        over and that counts, and `StoreContention`, after which a retry is safe.
        """
        lines = list(order.items)
        while True:
            giving_back = (
                UpdateExpression()
                .set("reservation.state", ReservationState.RELEASED)
                .set("reservation.attempt", order.attempt)
                .set("updatedAt", at)
                .require_equal("reservation.state", ReservationState.HELD)
                .require_equal("attempt", order.attempt)
                .require_one_of("status", [*OPEN_STATUSES, OrderStatus.FAILED])
            )
            if not even_if_handed_over:
                giving_back.require_equal("reservation.handedOver", False)
            try:
                self._transact(
                    order.order_id,
                    giving_back,
                    [self._stock_change(line, line.quantity, at) for line in lines],
                )
            except ClientError as error:
                reasons = _cancellation_reasons(error)
                if reasons[0]["Code"] == "ConditionalCheckFailed":
                    now = _order_or_not_found(reasons[0].get("Item"), order.order_id)
                    if now.attempt != order.attempt or now.holds_stock:
                        raise Superseded(
                            f"the order is {now.status.value} in attempt {now.attempt}"
                        ) from error
                    return False
                _raise_if_passing(reasons, error)
                there = [
                    line
                    for line, reason in zip(lines, reasons[1:], strict=True)
                    if reason["Code"] != "ConditionalCheckFailed"
                ]
                if len(there) == len(lines):
                    raise
                lines = there
                continue
            return True

    # --- open orders ---------------------------------------------------------------------------------------

    def list_open(
        self, shard: str, before: str, limit: int, start: Item | None
    ) -> tuple[list[OpenOrder], Item | None]:
        """Orders of one shard that are in the index `open` since before a time, oldest first.

        Returns the entries and where to go on (None at the end).
        """
        answer = self._client.query(
            TableName=self._table,
            IndexName="open",
            KeyConditionExpression="openShard = :shard AND openSince < :before",
            ExpressionAttributeValues={":shard": {"S": shard}, ":before": {"S": before}},
            Limit=limit,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        entries = [OpenOrder(item["orderId"]["S"], item["openSince"]["S"]) for item in answer["Items"]]
        return entries, answer.get("LastEvaluatedKey")

    def begin_attempt(self, order: Order, *, at: str) -> Order:
        """Give an open order its next attempt; what still runs for the present one can change nothing more.

        Raises `Superseded` when the order moved on meanwhile.
        """
        update = (
            UpdateExpression()
            .add("attempt", 1)
            .set("openSince", at)
            .set("updatedAt", at)
            .require_equal("attempt", order.attempt)
            .require_one_of("status", OPEN_STATUSES)
        )
        return self._update_or_superseded(order.order_id, update)

    # --- how it is done -----------------------------------------------------------------------------------

    def _update(self, order_id: str, update: UpdateExpression) -> Order:
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(order_id),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **update.parameters(),
        )
        return _read(answer["Attributes"])

    def _update_if(self, order_id: str, update: UpdateExpression) -> None:
        try:
            self._update(order_id, update)
        except ClientError as error:
            if not is_condition_failure(error):
                raise

    def _stock_change(self, line: OrderLine, pieces: int, at: str) -> dict[str, Any]:
        if self._products_table is None:
            raise ValueError("this repository was made without the products table")
        update = UpdateExpression().add("stock", pieces).set("updatedAt", at).count("version")
        if pieces < 0:
            update.require(f"{update.name('stock')} >= {update.value(-pieces)}")
        else:
            update.require_exists("productId")
        return {
            "TableName": self._products_table,
            "Key": {"productId": {"S": line.product_id}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **update.parameters(),
        }

    def _transact(
        self, order_id: str, update: UpdateExpression, stock_changes: Sequence[dict[str, Any]]
    ) -> None:
        order_change = {
            "TableName": self._table,
            "Key": _key(order_id),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **update.parameters(),
        }
        self._client.transact_write_items(
            TransactItems=[{"Update": change} for change in (order_change, *stock_changes)]
        )

    def _update_or_superseded(self, order_id: str, update: UpdateExpression) -> Order:
        try:
            return self._update(order_id, update)
        except ClientError as error:
            now = self._order_before(error, order_id)
            raise Superseded(f"the order is {now.status.value} in attempt {now.attempt}") from error

    @staticmethod
    def _order_before(error: ClientError, order_id: str) -> Order:
        if not is_condition_failure(error):
            raise error
        return _order_or_not_found(item_before(error), order_id)


def _shard_of(order_id: str) -> str:
    return OPEN_SHARDS[zlib.crc32(order_id.encode()) % len(OPEN_SHARDS)]


def _key(order_id: str) -> Item:
    return {"orderId": {"S": order_id}}


def _read(item: Item) -> Order:
    return msgspec.convert(from_item(item), Order)


def _not_found(order_id: str) -> NotFound:
    return NotFound(f"there is no order {order_id}")


def _order_or_not_found(item: Item | None, order_id: str) -> Order:
    if not item:
        raise _not_found(order_id)
    return _read(item)


def _entry(move: Move) -> dict[str, str]:
    entry = {"status": move.to.value, "at": move.at}
    return entry if move.reason is None else entry | {"reason": move.reason}


def _require_stock(update: UpdateExpression, rule: StockRule) -> None:
    """Write the domain's stock rule as a condition (`stock_allows` says the same of an order in hand)."""
    if rule is StockRule.ANY:
        return
    state, held = update.name("reservation.state"), update.value(ReservationState.HELD)
    if rule is StockRule.HELD:
        update.require(f"{state} = {held}")
        return
    not_held = f"attribute_not_exists({update.name('reservation')}) OR {state} <> {held}"
    if rule is StockRule.NOT_HELD_OR_HANDED_OVER:
        not_held += f" OR {update.name('reservation.handedOver')} = {update.value(True)}"
    update.require(not_held)


def _cancellation_reasons(error: ClientError) -> list[dict[str, Any]]:
    """Why a transaction was cancelled, one reason per action in their order; other errors are raised as they
    are, but for a repeat that is still in progress, which is contention."""
    code = error.response["Error"]["Code"]
    if code in {"TransactionInProgressException", "TransactionConflictException"}:
        raise StoreContention("the store is busy with this order") from error
    if code != "TransactionCanceledException":
        raise error
    reasons: list[dict[str, Any]] = error.response["CancellationReasons"]
    return reasons


def _raise_if_passing(reasons: Sequence[dict[str, Any]], error: ClientError) -> None:
    if any(reason["Code"] in _TRANSIENT for reason in reasons):
        raise StoreContention("other writers hold the same records") from error


def _out_of_stock(line: OrderLine, product: dict[str, AttributeValue] | None) -> OrderRejected:
    if not product:
        return OrderRejected("unknown_product", f"there is no product {line.product_id} any more")
    in_stock = from_item(product)["stock"]
    return OrderRejected(
        "insufficient_stock", f"{line.quantity} of product {line.product_id} ordered, {in_stock} in stock"
    )
