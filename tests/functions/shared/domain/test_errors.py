"""The errors of the domain."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import (
    DomainError,
    InvalidInput,
    NotFound,
    NotOrderable,
    OrderRejected,
    RejectionCode,
)
from functions.shared.domain.quotes import Quote

QUOTE = Quote(items=[], total=0, currency=None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotFound("there is no order o-1"), "there is no order o-1"),
        (InvalidInput("too long"), "too long"),
        (InvalidInput("too long", "items[0]"), "too long"),
        (NotOrderable("archived", QUOTE), "archived"),
        (
            OrderRejected(RejectionCode.UNKNOWN_PRODUCT, "there is no product p"),
            "unknown_product: there is no product p",
        ),
    ],
)
def test_the_text_of_an_error_is_its_message(error: DomainError, message: str) -> None:
    assert str(error) == message


def test_an_invalid_input_names_its_field_or_none() -> None:
    assert InvalidInput("too long", "items[0]").field == "items[0]"
    assert InvalidInput("too long").field is None


def test_a_basket_that_cannot_be_ordered_has_its_quote_or_none() -> None:
    assert NotOrderable("archived", QUOTE).quote is QUOTE
    assert NotOrderable("archived").quote is None


def test_the_codes_of_rejections_are_those_of_the_contract() -> None:
    assert [code.value for code in RejectionCode] == [
        "unknown_user",
        "unknown_product",
        "product_archived",
        "mixed_currencies",
        "price_changed",
        "insufficient_stock",
    ]


@pytest.mark.parametrize("code", RejectionCode)
def test_the_code_of_a_rejection_is_read_from_its_reason(code: RejectionCode) -> None:
    assert RejectionCode.of(str(OrderRejected(code, "insufficient_stock: or so"))) is code
    assert code.meaning.endswith(".")


@pytest.mark.parametrize(
    "reason", [None, "", "sold_out: a code of a later version", "insufficient_stocks: x"]
)
def test_a_reason_without_a_known_code_has_none(reason: str | None) -> None:
    assert RejectionCode.of(reason) is None
