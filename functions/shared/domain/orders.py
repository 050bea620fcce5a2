"""An order: its data and its statuses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from functions.shared.domain.addresses import Address
from functions.shared.domain.errors import InvalidInput, RejectionCode
from functions.shared.domain.ids import Identifier
from functions.shared.domain.products import Currency
from functions.shared.domain.texts import LINE, LINES, ShortLine

MAX_LINES = 50
MAX_QUANTITY = 1000

Reference = ShortLine
"""The client's own number of an order."""
_Key = Annotated[
    str, msgspec.Meta(min_length=1, max_length=40, pattern=LINE, description="a text on one line")
]
_Value = Annotated[
    str, msgspec.Meta(max_length=200, pattern=LINES, description="a text without control characters")
]
Metadata = Annotated[dict[_Key, _Value], msgspec.Meta(max_length=20)]
"""What a client stores with an order. It is never interpreted."""


class OrderStatus(StrEnum):
    """The status of an order."""

    PENDING = "PENDING"
    VALIDATED = "VALIDATED"
    IN_FULFILLMENT = "IN_FULFILLMENT"
    FULFILLED = "FULFILLED"
    DELIVERED = "DELIVERED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


# Orders in these statuses wait for the workflow.
OPEN_STATUSES = (OrderStatus.PENDING, OrderStatus.VALIDATED)
# Orders in these statuses are in the index `open` until they move on.
UNFINISHED_STATUSES = (*OPEN_STATUSES, OrderStatus.IN_FULFILLMENT)


class ReservationState(StrEnum):
    """Whether the stock of an order is reserved."""

    HELD = "HELD"
    RELEASED = "RELEASED"


class OrderLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One product of an order. Title and unit price (minor units) are set when the order is validated."""

    product_id: str
    quantity: int
    title: str | None = None
    unit_price: int | None = None


class HistoryEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One move of an order: the new status, the time (UTC, ISO 8601) and the reason."""

    status: OrderStatus
    at: str
    reason: str | None = None


class Reservation(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An order's claim on stock: its state, its attempt, and the fulfillment system that has the order.

    `handed_over_to` is the URL of that system without scheme and query.
    """

    state: ReservationState
    attempt: int
    handed_over_to: str | None = None


class Shipment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A parcel. `quantities` has a number per line of the order; without it the parcel has the whole order.

    `is_late`: the order's stock was released before the parcel left, so its pieces came from the stock.
    """

    shipment_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    quantities: list[int] | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: str | None = None
    delivered_at: str | None = None
    is_late: bool = False

    @property
    def id(self) -> str:
        """The id that the fulfillment system gave."""
        return self.shipment_id


class Refusal(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Pieces that will not be shipped, a number per line of the order, and the reservation's attempt."""

    refusal_id: str
    quantities: list[int]
    reason: str
    attempt: int

    @property
    def id(self) -> str:
        """The id that the fulfillment system gave."""
        return self.refusal_id


class ReturnStatus(StrEnum):
    """Whether items that come back are announced, or there."""

    REQUESTED = "REQUESTED"
    RECEIVED = "RECEIVED"


class Return(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """Items that come back, and those of them that went back to stock: a number per line of the order."""

    return_id: str
    status: ReturnStatus
    quantities: list[int]
    restocked: list[int]
    at: str
    reason: str | None = None

    @property
    def id(self) -> str:
        """The id that the client or the fulfillment system gave."""
        return self.return_id


class Fulfillment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The status that an order gets, the parcel if it is one with the whole order, and when to look again.

    `in_place`: shipped without a fulfillment system.
    """

    status: OrderStatus
    shipment: Shipment | None = None
    due_at: str | None = None
    in_place: bool = False


class Pricing(msgspec.Struct, frozen=True, rename="camel"):
    """The priced lines of an order, their sum in minor units, and the ISO 4217 currency."""

    items: list[OrderLine]
    total: int
    currency: str


class ValidatedOrder(Pricing, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The prices of an order, and whether a client said more about it (see `OrderContent`)."""

    has_content: bool = False


class Money(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An amount in minor units of a currency. The largest one is 50 lines of 1,000 of the dearest product."""

    amount: Annotated[int, msgspec.Meta(ge=0, le=5_000_000_000_000)]
    currency: Currency


class OrderContent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What a client says about an order beside its lines. All of it is optional.

    An order with another total than `expected_total` is rejected.
    """

    expected_total: Money | None = None
    reference: Reference | None = None
    metadata: Metadata | None = None
    deliver_to: Address | None = None

    @property
    def content(self) -> dict[str, object]:
        """The fields of this part that have a value, by name."""
        fields = {name: getattr(self, name) for name in OrderContent.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def for_fulfillment(self) -> dict[str, object]:
        """The part of `content` that a fulfillment system gets."""
        return {name: value for name, value in self.content.items() if name != "expected_total"}


class Order(OrderContent, frozen=True, rename="camel", omit_defaults=True):
    """An order as it is stored. Times are UTC, ISO 8601 with milliseconds. Money is in minor units."""

    order_id: str
    user_id: str
    items: list[OrderLine]
    status: OrderStatus
    history: list[HistoryEntry]
    attempt: int
    created_at: str
    updated_at: str
    total: int | None = None
    currency: str | None = None
    status_reason: str | None = None
    reservation: Reservation | None = None
    shipments: list[Shipment] = []
    refusals: list[Refusal] = []
    returns: list[Return] = []
    cancel_requested_at: str | None = None
    cancel_refused_at: str | None = None
    unsent: list[str] = []
    revision: int = 0
    request_hash: str | None = None
    open_shard: str | None = None
    due_at: str | None = None
    first_attempt: int = 1

    @property
    def is_open(self) -> bool:
        """Whether the order waits for the workflow."""
        return self.status in OPEN_STATUSES

    @property
    def waits_for_cancellation(self) -> bool:
        """Whether the fulfillment system has not answered a client's request to cancel."""
        is_asked = self.cancel_requested_at is not None and self.cancel_refused_at is None
        return is_asked and self.status is OrderStatus.IN_FULFILLMENT

    @property
    def rejection_code(self) -> RejectionCode | None:
        """The code of the reason of a REJECTED order, or None."""
        return RejectionCode.of(self.status_reason) if self.status is OrderStatus.REJECTED else None

    @property
    def attempts_used(self) -> int:
        """The number of attempts since the order was placed, or since an operator's last retry."""
        return self.attempt - self.first_attempt + 1

    @property
    def holds_stock(self) -> bool:
        """Whether stock is reserved for this order."""
        return self.reservation is not None and self.reservation.state is ReservationState.HELD

    @property
    def is_handed_over(self) -> bool:
        """Whether a fulfillment system has the order, and may ship it at any time."""
        return self.handed_over_to is not None

    @property
    def handed_over_to(self) -> str | None:
        """The fulfillment system that has the order, or None."""
        return self.reservation.handed_over_to if self.holds_stock and self.reservation else None

    @property
    def pricing(self) -> Pricing | None:
        """The prices that the order was validated with, or None."""
        if self.total is None or self.currency is None:
            return None
        return Pricing(items=self.items, total=self.total, currency=self.currency)


class NewOrderLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A line of a client's request."""

    product_id: Identifier
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_QUANTITY)]


class NewOrder(OrderContent, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """A client's request for an order. It has no prices: these come from the products."""

    user_id: Identifier
    items: Annotated[list[NewOrderLine], msgspec.Meta(min_length=1, max_length=MAX_LINES)]

    @property
    def fingerprint(self) -> str:
        """Hash of the request. Distinguishes a repeat from another order under the same key."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def check_distinct(lines: Sequence[NewOrderLine]) -> None:
    """Raises `InvalidInput` if one product is on two lines."""
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.product_id in seen:
            raise InvalidInput(
                "one line per product: this product is on an earlier line already",
                f"items[{index}].productId",
            )
        seen.add(line.product_id)


def new_order(new: NewOrder, *, order_id: str, at: str, due_at: str, with_fingerprint: bool) -> Order:
    """Returns the order for a client's request. It is `due_at` a time if its first attempt does not finish.

    Raises `InvalidInput` if one product is on two lines.
    """
    check_distinct(new.items)
    return Order(
        order_id=order_id,
        user_id=new.user_id,
        items=[OrderLine(product_id=line.product_id, quantity=line.quantity) for line in new.items],
        status=OrderStatus.PENDING,
        history=[HistoryEntry(status=OrderStatus.PENDING, at=at)],
        attempt=1,
        created_at=at,
        updated_at=at,
        request_hash=new.fingerprint if with_fingerprint else None,
        due_at=due_at,
        **new.content,  # type: ignore[arg-type]
    )
