"""The errors of the domain: every reason to refuse a request, or to end a step of the workflow.

    DomainError
    |-- raised to a client of the API
    |   |-- InvalidInput           a value breaks a rule
    |   |-- InvalidPageToken       this list did not issue the nextToken
    |   |-- NotFound               no such user, product or order
    |   |-- VersionMismatch        the record changed since the version in If-Match
    |   |-- AlreadyExists          the record exists, and If-None-Match requires a new one
    |   |-- VersionRequired        the change needs If-Match
    |   |-- BasketEmpty            a checkout of a basket without a product
    |   |-- QuotedError            the basket cannot be ordered: its lines today are in `quote`
    |   |   |-- NotOrderable       a product is unknown, archived or in another currency
    |   |   |-- InsufficientStock  too little is in stock, also for a change of it
    |   |   `-- PriceChanged       the total is not the expected one
    |   |-- IdempotencyKeyReused   the same Idempotency-Key, another body
    |   |-- EmailTaken             the e-mail address belongs to another user
    |   |-- InvalidSignature       missing, too old, or of another request
    |   |-- NotHandedOver          no fulfillment system has the order
    |   |-- ReportRefused          the report contradicts the order
    |   `-- TooLateToCancel        the stock is reserved, or the order is final
    `-- raised to the workflow
        |-- OrderRejected            never succeeds: the order becomes REJECTED
        |-- OrderCancelled           the client cancelled the order: the execution stops
        |-- Superseded               another attempt owns the order: the execution stops
        |-- FulfillmentRefused       the fulfillment system refused: the order becomes FAILED
        |-- FulfillmentUnavailable   no reliable answer: a retry is safe
        |-- StoreContention          other writers hold the same records: a retry is safe
        `-- DependencyUnavailable    an AWS service did not answer, or throttled: a retry is safe

The class names are a contract. Step Functions receives a Lambda's exception by its class name, and
`statemachines/order_fulfillment.asl.json` catches and retries exactly these names. Clients and operators read
the messages: they never contain table names, ARNs or texts of other exceptions.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from functions.shared.domain.quotes import Quote


class RejectionCode(StrEnum):
    """Why an order is REJECTED, for programs. `meaning` is for people.

    The API's contract and the schemas of the events list these. They are few: a metric has them as a
    dimension.
    """

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Adds a code with its meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    @classmethod
    def of(cls, reason: str | None) -> RejectionCode | None:
        """Returns the code with which the reason of a rejection begins, or None."""
        name = (reason or "").partition(":")[0]
        return next((code for code in cls if code.value == name), None)

    UNKNOWN_USER = "unknown_user", "The user does not exist."
    UNKNOWN_PRODUCT = "unknown_product", "A product does not exist."
    PRODUCT_ARCHIVED = "product_archived", "A product is archived: it is no longer for sale."
    MIXED_CURRENCIES = "mixed_currencies", "The products have different currencies."
    PRICE_CHANGED = "price_changed", "The total is not the one that the client expected."
    INSUFFICIENT_STOCK = "insufficient_stock", "A product has less stock than was ordered."


class DomainError(Exception):
    """Base of all errors of the domain. The message says what was wrong and what was expected."""


# --- raised to a client of the API -----------------------------------------------------------------------


class InvalidInput(DomainError):
    """A value breaks a rule.

    `field` is its path in the JSON (`items[0].quantity`), or None for the input as a whole.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidPageToken(DomainError):
    """The list did not issue this `nextToken`."""


class NotFound(DomainError):
    """There is no such user, product or order."""


class VersionMismatch(DomainError):
    """The record changed since the version that `If-Match` names."""


class AlreadyExists(DomainError):
    """The record exists already, and `If-None-Match: *` only creates."""


class VersionRequired(DomainError):
    """The change needs `If-Match` with the version that it is based on."""


class BasketEmpty(DomainError):
    """The basket has no product, and no order was made from it within the last 24 hours."""


class QuotedError(DomainError):
    """The basket cannot be ordered as it is. `quote` are its lines today, or None without a basket."""

    def __init__(self, message: str, quote: Quote | None = None) -> None:
        super().__init__(message)
        self.quote = quote


class NotOrderable(QuotedError):
    """The basket has a product that is unknown, archived or in another currency than the others."""


class InsufficientStock(QuotedError):
    """Less is in stock than wanted, or than a change of stock takes."""


class PriceChanged(QuotedError):
    """The total is not the `expectedTotal`."""


class IdempotencyKeyReused(DomainError):
    """An earlier request had the same Idempotency-Key and another body."""


class EmailTaken(DomainError):
    """The e-mail address belongs to another user."""


class InvalidSignature(DomainError):
    """The signature is missing, too old, or of another request."""


class NotHandedOver(DomainError):
    """No fulfillment system has the order, so none can report about it."""


class ReportRefused(DomainError):
    """A report of the fulfillment system, or a return, contradicts what is known of the order."""


class TooLateToCancel(DomainError):
    """The order's stock is reserved, or the order is final."""


# --- raised to the workflow ------------------------------------------------------------------------------


class OrderRejected(DomainError):
    """The order cannot be fulfilled, and a retry cannot help.

    The message is `<code>: <explanation>`.
    """

    def __init__(self, code: RejectionCode, explanation: str) -> None:
        super().__init__(f"{code}: {explanation}")


class OrderCancelled(DomainError):
    """The client cancelled the order. The execution stops."""


class Superseded(DomainError):
    """Another attempt owns the order. The execution stops and changes nothing more."""


class FulfillmentRefused(DomainError):
    """The fulfillment system refused the order."""


class FulfillmentUnavailable(DomainError):
    """The fulfillment system gave no reliable answer. A retry is safe."""


class StoreContention(DomainError):
    """Other writers held the same records. A retry is safe."""


class DependencyUnavailable(DomainError):
    """An AWS service did not answer, or throttled the request. A retry is safe."""
