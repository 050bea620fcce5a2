"""A basket: the products that a user has put together, and the order that it became last."""

from __future__ import annotations

from typing import Annotated

import msgspec

from functions.shared.domain.errors import BasketEmpty, InvalidInput, VersionMismatch
from functions.shared.domain.orders import (
    MAX_LINES,
    MAX_QUANTITY,
    NewOrder,
    NewOrderLine,
    OrderContent,
    OrderLine,
)

REPEAT_SECONDS = 24 * 60 * 60
"""How long a repeated checkout returns the order of the first."""


class BasketOrder(msgspec.Struct, frozen=True, rename="camel"):
    """The order that a basket became.

    `version` is the basket's before that. Until `known_until` (seconds since 1970) a repeated checkout
    returns the order.
    """

    order_id: str
    version: int
    known_until: int


class Basket(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The basket of a user, as it is stored. Without an item it has version 0 and no id.

    `quantities` are the pieces by product. `added` has the basket's version from before each product was put
    in: their order. The basket is empty from `expires_at` on (seconds since 1970).
    """

    user_id: str
    version: int = 0
    basket_id: str | None = None
    quantities: dict[str, int] = {}
    added: dict[str, int] = {}
    updated_at: str = ""
    expires_at: int = 0
    last_order: BasketOrder | None = None

    @property
    def lines(self) -> list[OrderLine]:
        """The lines, in the order in which their products were put in."""
        products = sorted(self.quantities, key=self.added.__getitem__)
        return [OrderLine(product_id=product, quantity=self.quantities[product]) for product in products]

    def as_of(self, now: int) -> Basket:
        """Returns the basket as it is now: empty and without an id if it has expired.

        DynamoDB deletes an expired item later.
        """
        if self.expires_at > now:
            return self
        return Basket(user_id=self.user_id, version=self.version)

    def known_order(self, versions: set[int] | None, now: int) -> str | None:
        """Returns the order that a repeated checkout made before, or None.

        The checkout is a repeat if its `If-Match` names the version that became the order, or if the basket
        is still empty.
        """
        order = self.last_order
        if order is None or order.known_until <= now:
            return None
        if versions is not None and order.version in versions:
            return order.order_id
        is_present = versions is None or self.version in versions
        return order.order_id if is_present and not self.quantities else None

    def check_version(self, versions: set[int] | None) -> None:
        """Raises `VersionMismatch` if the basket has none of these versions. None allows all."""
        if versions is not None and self.version not in versions:
            raise VersionMismatch("the basket was changed since the version that If-Match names")

    def check_line_fits(self, product_id: str) -> None:
        """Raises `InvalidInput` if one more product is too many."""
        if product_id not in self.quantities and len(self.quantities) >= MAX_LINES:
            raise InvalidInput(
                f"expected at most {MAX_LINES} products in a basket: remove one first", "productId"
            )


class NewCheckout(OrderContent, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A client's request to order what is in a basket. All fields are optional."""

    def order_of(self, basket: Basket) -> NewOrder:
        """Returns the order of a basket. Raises `BasketEmpty`."""
        if not basket.quantities:
            raise BasketEmpty("the basket is empty: put a product in first")
        items = [NewOrderLine(line.product_id, line.quantity) for line in basket.lines]
        return NewOrder(user_id=basket.user_id, items=items, **self.content)  # type: ignore[arg-type]


class NewBasketLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A client's request for pieces of a product."""

    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]
