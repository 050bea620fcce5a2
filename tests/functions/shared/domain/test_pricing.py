"""The price of an order."""

from __future__ import annotations

import pytest
from msgspec import structs

from functions.shared.domain.errors import InsufficientStock, NotOrderable, OrderRejected, PriceChanged
from functions.shared.domain.orders import Money, OrderLine
from functions.shared.domain.pricing import NewQuote, check_orderable, price, quote
from tests.functions.shared.domain.samples import mistakes, product


def test_the_total_is_the_sum_of_the_lines_at_the_products_prices() -> None:
    lines = [OrderLine(product_id="a", quantity=2), OrderLine(product_id="b", quantity=3)]
    pricing = price(lines, {"a": product("a", 150), "b": product("b", 7)})
    assert (pricing.total, pricing.currency) == (321, "EUR")
    assert [(line.title, line.unit_price) for line in pricing.items] == [
        ("title of a", 150),
        ("title of b", 7),
    ]


def test_an_unknown_product_rejects_the_order_and_is_named() -> None:
    with pytest.raises(OrderRejected, match=r"^unknown_product: there is no product ghost, b$"):
        price([OrderLine("a", 1), OrderLine("ghost", 1), OrderLine("b", 1)], {"a": product("a")})


def test_an_archived_product_rejects_the_order_and_is_named() -> None:
    archived = {name: structs.replace(product(name), archived=True) for name in ("b", "c")}
    with pytest.raises(OrderRejected, match=r"^product_archived: no longer for sale: b, c$"):
        price([OrderLine(name, 1) for name in "abc"], {"a": product("a"), **archived})


def test_products_of_two_currencies_reject_the_order() -> None:
    lines = [OrderLine(product_id="a", quantity=1), OrderLine(product_id="b", quantity=1)]
    with pytest.raises(OrderRejected, match=r"^mixed_currencies: .*EUR and USD"):
        price(lines, {"a": product("a"), "b": product("b", currency="USD")})


@pytest.mark.parametrize("expected", [None, Money(amount=200, currency="EUR")])
def test_an_order_with_the_expected_total_or_none_is_priced(expected: Money | None) -> None:
    assert price([OrderLine("a", 2)], {"a": product("a")}, expected=expected).total == 200


@pytest.mark.parametrize(
    "expected", [Money(199, "EUR"), Money(201, "EUR"), Money(200, "USD"), Money(0, "EUR")]
)
def test_an_order_with_another_total_than_expected_is_rejected(expected: Money) -> None:
    with pytest.raises(OrderRejected, match=r"^price_changed: the total is 200 EUR, not "):
        price([OrderLine("a", 2)], {"a": product("a")}, expected=expected)


def test_lines_that_cannot_be_ordered_are_named_before_those_with_too_little_stock() -> None:
    products = {"a": product("a"), "b": structs.replace(product("b"), archived=True)}
    quoted = quote([OrderLine("a", 6), OrderLine("b", 1), OrderLine("c", 1)], products)
    assert [line.title for line in quoted.items] == ["title of a", "title of b", None]
    expected = r"^remove what cannot be ordered: b \(product_archived\), c \(unknown_product\)$"
    with pytest.raises(NotOrderable, match=expected) as error:
        check_orderable(quoted, None)
    assert error.value.quote is quoted


def test_lines_with_too_little_stock_are_named_before_another_total() -> None:
    products = {"a": product("a"), "b": product("b"), "c": product("c")}
    quoted = quote([OrderLine("a", 6), OrderLine("b", 5), OrderLine("c", 7)], products)
    expected = r"^too little is in stock: a \(6 wanted, 5 left\), c \(7 wanted, 5 left\)$"
    with pytest.raises(InsufficientStock, match=expected) as error:
        check_orderable(quoted, Money(1, "EUR"))
    assert error.value.quote is quoted


def test_another_total_than_expected_is_named() -> None:
    quoted = quote([OrderLine("a", 2)], {"a": product("a")})
    expected = r"^the total is 200 EUR, not 201 EUR \(minor units\)$"
    with pytest.raises(PriceChanged, match=expected) as error:
        check_orderable(quoted, Money(201, "EUR"))
    assert error.value.quote is quoted
    check_orderable(quoted, Money(200, "EUR"))
    check_orderable(quoted, None)


def test_a_request_for_a_quote_has_1_to_50_lines_and_nothing_else() -> None:
    lines = [{"productId": f"p-{number}", "quantity": 1} for number in range(51)]
    assert mistakes(NewQuote, {"items": lines[:50]}) == []
    for wrong in ([], lines):
        assert mistakes(NewQuote, {"items": wrong}) == [("items", "expected a list of 1 to 50 elements")]
    assert mistakes(NewQuote, {"items": lines[:1], "user": 1}) == [
        ("user", "unknown: expected nothing but items")
    ]
