"""The price of an order."""

from __future__ import annotations

import pytest
from msgspec import structs

from functions.shared.domain.errors import OrderRejected
from functions.shared.domain.orders import Money, OrderLine
from functions.shared.domain.pricing import price
from tests.functions.shared.domain.samples import product


def test_the_total_is_the_sum_of_the_lines_at_the_products_prices() -> None:
    lines = [OrderLine(product_id="a", quantity=2), OrderLine(product_id="b", quantity=3)]
    pricing = price(lines, {"a": product("a", 150), "b": product("b", 7)})
    assert (pricing.total, pricing.currency) == (321, "EUR")
    assert [(line.title, line.unit_price) for line in pricing.items] == [
        ("title of a", 150),
        ("title of b", 7),
    ]


def test_an_unknown_product_rejects_the_order_and_is_named() -> None:
    with pytest.raises(OrderRejected, match=r"^unknown_product: .*ghost"):
        price([OrderLine(product_id="ghost", quantity=1)], {})


def test_an_archived_product_rejects_the_order_and_is_named() -> None:
    lines = [OrderLine(product_id="a", quantity=1), OrderLine(product_id="b", quantity=1)]
    with pytest.raises(OrderRejected, match=r"^product_archived: .*b$"):
        price(lines, {"a": product("a"), "b": structs.replace(product("b"), archived=True)})


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
