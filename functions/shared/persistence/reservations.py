"""Reservations: the stock that orders hold.

An order and the stock of its products change in one transaction: all or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared.domain.errors import OrderRejected, RejectionCode, StoreContention, Superseded
from functions.shared.domain.moves import raise_unless_reserved
from functions.shared.domain.orders import (
    OPEN_STATUSES,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
)
from functions.shared.domain.shipping import by_product, held
from functions.shared.persistence.dynamodb import (
    AttributeValue,
    UpdateExpression,
    cancellation_reasons,
    from_item,
    raise_if_transient,
    was_refused,
)
from functions.shared.persistence.order_items import OrderItems, order_from, require_revision


class Reservations:
    """The reservations in the orders table, and the stock in the products table."""

    def __init__(self, client: Any, orders_table: str, products_table: str) -> None:
        self._items = OrderItems(client, orders_table)
        self._products_table = products_table

    def reserve(
        self,
        order_id: str,
        attempt: int,
        lines: Sequence[OrderLine],
        *,
        at: str,
        handed_over_to: str | None = None,
    ) -> Order | None:
        """Reserves the stock of a validated order: all lines or none, once per order.

        Returns None when the stock was reserved, or the order if it holds its stock already. Raises
        `OrderRejected` (stock, or a deleted product), `OrderCancelled`, `Superseded`, `NotFound`,
        `FulfillmentRefused` (parcels left after an earlier release), and `StoreContention`, after which a
        retry is safe.
        """
        reservation = Reservation(state=ReservationState.HELD, attempt=attempt, handed_over_to=handed_over_to)
        claim = (
            UpdateExpression()
            .set("reservation", msgspec.to_builtins(reservation))
            .set("updatedAt", at)
            # Refusals count for the reservation under which they were made.
            .remove("refusals")
            .require_equal("status", OrderStatus.VALIDATED)
            .require_equal("attempt", attempt)
            # What left after a release is not shipped again.
            .require_absent("shipments")
        )
        # An attempt cannot reserve again after it has released: its refusal was definitive.
        claim.require(
            f"attribute_not_exists({claim.name('reservation')}) OR "
            f"({claim.name('reservation.state')} = {claim.value(ReservationState.RELEASED)} AND "
            f"{claim.name('reservation.attempt')} < {claim.value(attempt)})"
        )
        takes = [stock_change(self._products_table, line.product_id, -line.quantity, at=at) for line in lines]
        try:
            self._items.transact(order_id, claim, takes)
        except ClientError as error:
            reasons = cancellation_reasons(error)
            if was_refused(reasons[0]):
                order = order_from(reasons[0].get("Item"), order_id)
                raise_unless_reserved(order, attempt)
                return order
            raise_if_transient(reasons[:1], error)
            for line, reason in zip(lines, reasons[1:], strict=True):
                if was_refused(reason):
                    raise _out_of_stock(line, reason.get("Item")) from error
            raise_if_transient(reasons, error)
            raise
        return None

    def hand_over(self, order_id: str, attempt: int, *, to: str, at: str) -> None:
        """Records that the fulfillment system `to` is about to receive an order that holds its stock.

        Raises `Superseded` when the order is no longer in this attempt.
        """
        update = (
            UpdateExpression()
            .set("reservation.handedOverTo", to)
            .set("updatedAt", at)
            .require_equal("status", OrderStatus.VALIDATED)
            .require_equal("attempt", attempt)
            .require_equal("reservation.state", ReservationState.HELD)
        )
        self._items.update_or_superseded(order_id, update)

    def release(self, order: Order, *, at: str, even_if_handed_over: bool) -> bool:
        """Returns the stock of an order, once. A deleted product is skipped.

        Returns whether stock was returned: an order that holds none does not change. Raises `Superseded` when
        the order is no longer in the attempt that `order` shows, or was handed over and `even_if_handed_over`
        is False. Raises `StoreContention`, after which a retry is safe.
        """
        giving_back = (
            UpdateExpression()
            .set("reservation.state", ReservationState.RELEASED)
            .set("reservation.attempt", order.attempt)
            .set("updatedAt", at)
            .require_equal("reservation.state", ReservationState.HELD)
            .require_equal("attempt", order.attempt)
            .require_one_of("status", [*OPEN_STATUSES, OrderStatus.FAILED])
        )
        require_revision(giving_back, order)
        if not even_if_handed_over:
            giving_back.require_absent("reservation.handedOverTo")
        stock = by_product(order, held(order))
        now = write_with_stock(self._items, self._products_table, order.order_id, giving_back, stock, at=at)
        if now is not None:
            _explain_kept(order, now)
        return now is None


def _explain_kept(order: Order, now: Order) -> None:
    """Explains why the store refused to release what `order` holds. Returns if it holds nothing any more."""
    if now.attempt == order.attempt and now.holds_stock and now.revision != order.revision:
        raise StoreContention("a report changed what the order holds")
    if now.attempt != order.attempt or now.holds_stock:
        raise Superseded(f"the order is {now.status.value} in attempt {now.attempt}")


def write_with_stock(
    items: OrderItems,
    products_table: str,
    order_id: str,
    update: UpdateExpression,
    stock: Mapping[str, int],
    *,
    at: str,
) -> Order | None:
    """Writes an order and changes the stock (pieces by product): both or none. A deleted product is skipped.

    Returns None, or the order as it is when the condition of `update` does not hold. Raises `NotFound`,
    `StoreContention`, after which a retry is safe, and botocore's errors.
    """
    products = dict(stock)
    while True:
        changes = [
            stock_change(products_table, product, pieces, at=at, may_be_short=True)
            for product, pieces in products.items()
        ]
        try:
            items.transact(order_id, update, changes)
        except ClientError as error:
            of_order, *of_products = cancellation_reasons(error)
            if was_refused(of_order):
                return order_from(of_order.get("Item"), order_id)
            raise_if_transient([of_order, *of_products], error)
            deleted = [
                product for product, reason in zip(products, of_products, strict=True) if was_refused(reason)
            ]
            if not deleted:
                raise
            for product in deleted:
                del products[product]
        else:
            return None


def stock_change(
    table: str, product_id: str, pieces: int, *, at: str, may_be_short: bool = False
) -> dict[str, Any]:
    """Returns the update that adds pieces to a product's stock, or takes them.

    Taking requires that they are there, unless `may_be_short`: items that have left are not there, whatever
    the stock says.
    """
    update = UpdateExpression().add("stock", pieces).set("updatedAt", at).count("version")
    if pieces < 0 and not may_be_short:
        update.require(f"{update.name('stock')} >= {update.value(-pieces)}")
    else:
        update.require_exists("productId")
    return {
        "TableName": table,
        "Key": {"productId": {"S": product_id}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **update.parameters(),
    }


def _out_of_stock(line: OrderLine, product: dict[str, AttributeValue] | None) -> OrderRejected:
    if not product:
        return OrderRejected(RejectionCode.UNKNOWN_PRODUCT, f"there is no product {line.product_id} any more")
    in_stock = from_item(product)["stock"]
    return OrderRejected(
        RejectionCode.INSUFFICIENT_STOCK,
        f"{line.quantity} of product {line.product_id} ordered, {in_stock} in stock",
    )
