"""A quote: what lines cost today, and which of them cannot be ordered."""

from __future__ import annotations

import msgspec

from functions.shared.domain.errors import RejectionCode


class QuoteLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One product with its price today (minor units), and the pieces in stock.

    `problem` is the reason for which an order of this line would be rejected. A line with too little stock
    still has a price.
    """

    product_id: str
    quantity: int
    available: int
    title: str | None = None
    unit_price: int | None = None
    problem: RejectionCode | None = None


class Quote(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Priced lines. The total is the sum of the lines with a `unitPrice`.

    Without such a line the total is 0, and there is no currency.
    """

    items: list[QuoteLine]
    total: int
    currency: str | None = None

    def lines_with(self, *problems: RejectionCode) -> list[QuoteLine]:
        """Returns the lines with one of these problems."""
        return [line for line in self.items if line.problem in problems]
