"""A new order."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.orders import NewOrder, NewOrderLine, OrderStatus, new_order
from tests.functions.shared.domain.samples import AT


def test_a_new_order_is_pending_in_its_first_attempt_and_has_no_price() -> None:
    new = NewOrder(user_id="u-1", items=[NewOrderLine(product_id="p-1", quantity=2)])
    placed = new_order(new, order_id="o-1", at=AT, with_fingerprint=True)
    assert (placed.status, placed.attempt, placed.total, placed.pricing) == (
        OrderStatus.PENDING,
        1,
        None,
        None,
    )
    assert [entry.status for entry in placed.history] == [OrderStatus.PENDING]


def test_a_product_on_two_lines_is_refused_and_the_second_line_is_named() -> None:
    line = NewOrderLine(product_id="p-1", quantity=2)
    with pytest.raises(InvalidInput, match="one line per product") as refused:
        new_order(NewOrder(user_id="u-1", items=[line, line]), order_id="o-1", at=AT, with_fingerprint=False)
    assert refused.value.field == "items[1].productId"


def test_only_equal_orders_have_equal_fingerprints() -> None:
    def fingerprint(quantity: int) -> str:
        return NewOrder(user_id="u", items=[NewOrderLine(product_id="p", quantity=quantity)]).fingerprint

    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)
