"""A basket: its lines, its expiry, and the order that it became."""

from __future__ import annotations

import msgspec
import pytest

from functions.shared.domain.baskets import REPEAT_SECONDS, Basket, BasketOrder, NewBasketLine, NewCheckout
from functions.shared.domain.errors import BasketEmpty, InvalidInput, VersionMismatch
from functions.shared.domain.orders import Money
from tests.functions.shared.domain.samples import AT, mistakes

NOW = 1_000
BASKET = Basket(
    user_id="u-1",
    version=5,
    basket_id="b-1",
    quantities={"a": 1, "b": 2},
    added={"a": 4, "b": 3},
    updated_at=AT,
    expires_at=NOW + 1,
    last_order=BasketOrder(order_id="o-1", version=2, known_until=NOW + 1),
)
EMPTIED = msgspec.structs.replace(BASKET, quantities={}, added={})


def test_the_lines_have_the_order_in_which_their_products_were_put_in() -> None:
    assert [(line.product_id, line.quantity) for line in BASKET.lines] == [("b", 2), ("a", 1)]


def test_a_basket_is_empty_from_the_second_of_its_expiry_on_and_keeps_user_and_version() -> None:
    assert BASKET.as_of(NOW) is BASKET
    expired = BASKET.as_of(NOW + 1)
    assert (expired.user_id, expired.version, expired.basket_id) == ("u-1", 5, None)
    assert (expired.quantities, expired.last_order) == ({}, None)


@pytest.mark.parametrize(
    ("basket", "versions", "now", "is_known"),
    [
        (EMPTIED, None, NOW, True),
        (EMPTIED, None, NOW + 1, False),  # known for 24 hours only
        (BASKET, None, NOW, False),  # new products are a new order
        (EMPTIED, {5}, NOW, True),
        (EMPTIED, {4}, NOW, False),
        (BASKET, {5}, NOW, False),
        (BASKET, {2}, NOW, True),  # the version that was ordered
        (BASKET, {2, 9}, NOW, True),
        (BASKET, {2}, NOW + 1, False),
        (msgspec.structs.replace(EMPTIED, last_order=None), None, NOW, False),
    ],
)
def test_a_checkout_is_a_repeat_of_an_empty_basket_or_of_the_ordered_version(
    basket: Basket, versions: set[int] | None, now: int, is_known: bool
) -> None:
    assert basket.known_order(versions, now) == ("o-1" if is_known else None)


def test_the_order_of_a_basket_has_its_lines_and_the_fields_of_the_checkout() -> None:
    total = Money(amount=5, currency="EUR")
    order = NewCheckout(reference="r", expected_total=total).order_of(BASKET)
    assert (order.user_id, order.reference, order.expected_total) == ("u-1", "r", total)
    assert [(line.product_id, line.quantity) for line in order.items] == [("b", 2), ("a", 1)]
    with pytest.raises(BasketEmpty):
        NewCheckout().order_of(EMPTIED)


def test_a_new_basket_stores_only_its_user() -> None:
    new = Basket(user_id="u-1")
    assert msgspec.to_builtins(new) == {"userId": "u-1"}
    assert (new.version, new.basket_id, new.quantities, new.added) == (0, None, {}, {})
    assert (new.updated_at, new.expires_at, new.last_order) == ("", 0, None)
    assert msgspec.convert(msgspec.to_builtins(BASKET), Basket) == BASKET


def test_a_basket_of_another_version_is_refused() -> None:
    for versions in (None, {5}, {4, 5}):
        BASKET.check_version(versions)
    with pytest.raises(VersionMismatch):
        BASKET.check_version({4})


def test_a_basket_has_at_most_50_products() -> None:
    names = [f"p-{number}" for number in range(50)]
    full = Basket(user_id="u-1", quantities=dict.fromkeys(names, 1))
    full.check_line_fits("p-0")
    Basket(user_id="u-1", quantities=dict.fromkeys(names[1:], 1)).check_line_fits("p-0")
    with pytest.raises(InvalidInput) as refused:
        full.check_line_fits("p-50")
    assert refused.value.field == "productId"


def test_a_line_of_a_basket_has_1_to_1000_pieces() -> None:
    for valid in (1, 1000):
        assert mistakes(NewBasketLine, {"quantity": valid}) == []
    for invalid in ({"quantity": 0}, {"quantity": 1001}, {"quantity": 1, "unitPrice": 1}):
        assert len(mistakes(NewBasketLine, invalid)) == 1


def test_a_checkout_needs_no_field_and_allows_no_unknown_one() -> None:
    assert msgspec.to_builtins(msgspec.convert({}, NewCheckout)) == {}
    assert [field for field, _ in mistakes(NewCheckout, {"items": []})] == ["items"]


def test_a_checkout_is_known_for_a_day() -> None:
    assert REPEAT_SECONDS == 86_400
