"""Baskets: one item per user. A change of one line leaves the others as they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.baskets import REPEAT_SECONDS, Basket, BasketOrder
from functions.shared.domain.errors import StoreContention
from functions.shared.domain.ids import next_basket_id
from functions.shared.domain.orders import MAX_LINES
from functions.shared.persistence.dynamodb import (
    Item,
    UpdateExpression,
    cancellation_reasons,
    from_item,
    is_condition_failure,
    item_before,
    own_first_try,
    raise_if_transient,
    was_refused,
    write,
)

# A write is refused when another one changed the basket meanwhile. That many in a row are no coincidence.
_TRIES = 5


class BasketRepository:
    """The baskets table. `at` is the present time: a basket that has expired by then is empty."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def find(self, user_id: str, *, at: str) -> Basket:
        """Returns the basket of a user as it is now. A user without one has an empty basket."""
        answer = self._client.get_item(TableName=self._table, Key=_key(user_id), ConsistentRead=True)
        return _basket(answer.get("Item"), user_id, at)

    def put_line(
        self,
        user_id: str,
        product_id: str,
        quantity: int,
        *,
        at: str,
        expires_at: int,
        versions: set[int] | None,
    ) -> Basket:
        """Puts a product into the basket, or changes its quantity. Returns the basket.

        Changes of other lines at the same time remain. Raises `InvalidInput` if the basket is full,
        `VersionMismatch` and `StoreContention`.
        """

        def change(present: Basket | None) -> UpdateExpression:
            if present is not None and present.basket_id is None:
                return _begin(present, product_id, quantity, at, expires_at)
            update = _change(present, at, expires_at, versions)
            entry = update.entry("quantities", product_id)
            update.require(
                f"attribute_exists({entry}) OR size({update.name('quantities')}) < {update.value(MAX_LINES)}"
            )
            update.set_entry("quantities", product_id, quantity)
            return update.set_new_entry("added", product_id, "version")

        def check(present: Basket) -> bool:
            present.check_line_fits(product_id)
            return False

        return self._write(user_id, change, check, at, versions)

    def remove_line(
        self,
        user_id: str,
        product_id: str,
        *,
        at: str,
        expires_at: int,
        versions: set[int] | None,
    ) -> Basket:
        """Removes a product from the basket, if it is there. Returns the basket.

        Raises `VersionMismatch` and `StoreContention`.
        """

        def change(present: Basket | None) -> UpdateExpression:
            update = _change(present, at, expires_at, versions)
            update.require(f"attribute_exists({update.entry('quantities', product_id)})")
            return update.remove_entry("quantities", product_id).remove_entry("added", product_id)

        return self._write(
            user_id, change, lambda present: product_id not in present.quantities, at, versions
        )

    def clear(self, user_id: str, *, at: str, expires_at: int, versions: set[int] | None) -> Basket:
        """Removes all products from the basket. Returns it. Raises `VersionMismatch`, `StoreContention`."""

        def change(present: Basket | None) -> UpdateExpression:
            update = _change(present, at, expires_at, versions)
            update.require(f"size({update.name('quantities')}) > {update.value(0)}")
            return update.set("quantities", {}).set("added", {})

        return self._write(user_id, change, lambda present: not present.quantities, at, versions)

    def check_out(
        self,
        basket: Basket,
        order_id: str,
        put_order: Mapping[str, Any],
        *,
        at: str,
        mark: Mapping[str, Any] | None = None,
    ) -> bool:
        """Stores the order of a basket and empties the basket: both or none.

        `put_order` are the parameters of the order's PutItem. With `mark` (`RequestRepository.marking`) the
        request takes effect once. Returns False, and changes nothing, if the basket changed since it was
        read, or the request took effect before. Raises `StoreContention`, after which a retry is safe.
        """
        known_until = clock.epoch(at) + REPEAT_SECONDS
        ordered = BasketOrder(order_id=order_id, version=basket.version, known_until=known_until)
        emptied = (
            UpdateExpression()
            .set("basketId", next_basket_id(basket.basket_id or ""))
            .set("quantities", {})
            .set("added", {})
            .set("lastOrder", msgspec.to_builtins(ordered))
            .set("updatedAt", at)
            .set("expiresAt", known_until)
            .count("version")
            .require_equal("basketId", basket.basket_id)
            .require_equal("version", basket.version)
        )
        update = {"TableName": self._table, "Key": _key(basket.user_id), **emptied.parameters()}
        marks = [] if mark is None else [{"Update": mark}]
        try:
            self._client.transact_write_items(TransactItems=[{"Put": put_order}, {"Update": update}, *marks])
        except ClientError as error:
            reasons = cancellation_reasons(error)
            if any(map(was_refused, reasons)):
                return False
            raise_if_transient(reasons, error)
            raise
        return True

    def _write(
        self,
        user_id: str,
        change: Callable[[Basket | None], UpdateExpression],
        is_done: Callable[[Basket], bool],
        at: str,
        versions: set[int] | None,
    ) -> Basket:
        """Changes a basket without reading it first, and returns it as it is then.

        `change` gets the basket as the last refused write found it, or None. `is_done` explains a refusal: it
        raises an error, or returns whether there is nothing to change.
        """
        present: Basket | None = None
        for _ in range(_TRIES):
            update = change(present)
            try:
                answer = write(
                    self._client.update_item,
                    TableName=self._table,
                    Key=_key(user_id),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **update.parameters(),
                )
                return _basket(answer["Attributes"], user_id, at)
            except ClientError as error:
                if not is_condition_failure(error):
                    raise
                own = own_first_try(error, update)
                present = _basket(own or item_before(error), user_id, at)
                if own is not None:
                    return present
                present.check_version(versions)
                if is_done(present):
                    return present
        raise StoreContention("other requests change this basket")


def _begin(expired: Basket, product_id: str, quantity: int, at: str, expires_at: int) -> UpdateExpression:
    """Returns the write that stores a user's first basket, or a new one over an expired one."""
    update = (
        UpdateExpression()
        .set("basketId", str(uuid.uuid4()))
        .set("version", expired.version + 1)
        .set("quantities", {product_id: quantity})
        .set("added", {product_id: expired.version})
        .set("updatedAt", at)
        .set("expiresAt", expires_at)
        .remove("lastOrder")
    )
    if expired.version:
        return update.require_equal("version", expired.version)
    return update.require_absent("userId")


def _change(present: Basket | None, at: str, expires_at: int, versions: set[int] | None) -> UpdateExpression:
    """Returns a write that changes a basket which has not expired."""
    update = UpdateExpression().set("updatedAt", at).set("expiresAt", expires_at).count("version")
    update.require(f"{update.name('expiresAt')} > {update.value(clock.epoch(at))}")
    if versions is not None:
        update.require_version(versions)
    if present is None or present.updated_at != at:
        # A repeat by botocore must not change the basket again. Another request may have the same time.
        update.require(f"{update.name('updatedAt')} <> {update.value(at)}")
    return update


def _key(user_id: str) -> Item:
    return {"userId": {"S": user_id}}


def _basket(item: Item | None, user_id: str, at: str) -> Basket:
    if item is None:
        return Basket(user_id=user_id)
    return msgspec.convert(from_item(item), Basket).as_of(clock.epoch(at))
