"""Every way in which a request or an order can be refused, as one hierarchy.

The class names are a contract: Step Functions sees a Lambda's exception by its class name, and
`statemachines/order_fulfillment.asl.json` catches and retries exactly these names. Messages are written for
the client or the operator who will read them; they never hold table names, ARNs or exception texts.
"""


class DomainError(Exception):
    """Anything that the business rules refuse; the message says what was wrong and what was expected."""


# --- what a caller of the API did -------------------------------------------------------------------------


class InvalidInput(DomainError):
    """A value that breaks a rule.

    `field` is the path of the offending field as in the JSON (`items[0].quantity`), or None when the input
    as a whole is meant.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidPageToken(DomainError):
    """A `nextToken` that this list did not hand out."""


class NotFound(DomainError):
    """There is no such user, product or order."""


class VersionMismatch(DomainError):
    """The record was changed since the version that `If-Match` names."""


class VersionRequired(DomainError):
    """This change must say, with `If-Match`, which version it is based on."""


class IdempotencyKeyReused(DomainError):
    """The same Idempotency-Key came with another body."""


class TooLateToCancel(DomainError):
    """The order's goods are reserved, or the order is final."""


# --- how a step of the workflow ends ----------------------------------------------------------------------


class OrderRejected(DomainError):
    """The order cannot be fulfilled as it is, and trying again would not help.

    The message is `<code>: <explanation>`; the code is one of a few words, so that it can be a metric's
    dimension.
    """

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(f"{code}: {explanation}")


class OrderCancelled(DomainError):
    """The client cancelled the order meanwhile; there is nothing left to do."""


class Superseded(DomainError):
    """Another execution of this order got ahead; this one must not touch it any more."""


class FulfillmentRefused(DomainError):
    """The fulfillment system said no, definitively."""


class FulfillmentUnavailable(DomainError):
    """The fulfillment system gave no answer that can be relied on; trying again is safe."""


class StoreContention(DomainError):
    """Other writers held the same records; trying again is safe."""


class DependencyUnavailable(DomainError):
    """An AWS service that a step needs gave no answer, or asked to slow down; trying again is safe."""
