"""A new order."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.orders import (
    NewOrder,
    NewOrderLine,
    Order,
    OrderLine,
    OrderStatus,
    Pricing,
    new_order,
)
from tests.functions.shared.domain.samples import AT, LATER, RESERVATIONS, order


def test_a_new_order_is_pending_in_its_first_attempt_and_has_no_price() -> None:
    new = NewOrder(user_id="u-1", items=[NewOrderLine(product_id="p-1", quantity=2)])
    placed = new_order(new, order_id="o-1", at=AT, due_at=LATER, with_fingerprint=True)
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
        new_order(
            NewOrder(user_id="u-1", items=[line, line]),
            order_id="o-1",
            at=AT,
            due_at=LATER,
            with_fingerprint=False,
        )
    assert refused.value.field == "items[1].productId"


def test_only_equal_orders_have_equal_fingerprints() -> None:
    def fingerprint(quantity: int) -> str:
        return NewOrder(user_id="u", items=[NewOrderLine(product_id="p", quantity=quantity)]).fingerprint

    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)


def test_a_new_order_stores_only_the_request() -> None:
    new = NewOrder(user_id="u-1", items=[NewOrderLine("p-1", 2), NewOrderLine("p-2", 1)])
    placed = new_order(new, order_id="o-1", at=AT, due_at=LATER, with_fingerprint=True)
    assert msgspec.to_builtins(placed) == {
        "orderId": "o-1",
        "userId": "u-1",
        "items": [{"productId": "p-1", "quantity": 2}, {"productId": "p-2", "quantity": 1}],
        "status": "PENDING",
        "history": [{"status": "PENDING", "at": AT}],
        "attempt": 1,
        "createdAt": AT,
        "updatedAt": AT,
        "requestHash": new.fingerprint,
        "dueAt": LATER,
    }
    without = new_order(new, order_id="o-1", at=AT, due_at=LATER, with_fingerprint=False)
    assert without == replace(placed, request_hash=None)


def test_only_pending_and_validated_orders_are_open() -> None:
    assert {status for status in OrderStatus if order(status).is_open} == {
        OrderStatus.PENDING,
        OrderStatus.VALIDATED,
    }


def test_attempts_are_counted_from_the_first_one_or_the_last_retry() -> None:
    assert order().attempts_used == 1
    assert order(attempt=3).attempts_used == 3
    assert replace(order(attempt=5), first_attempt=4).attempts_used == 2


def test_an_order_holds_stock_while_its_reservation_is_held() -> None:
    """A fulfillment system has an order only while it holds stock."""
    assert [name for name, kind in RESERVATIONS.items() if order(reservation=kind).holds_stock is True] == [
        "held",
        "handed over",
    ]
    assert [name for name, kind in RESERVATIONS.items() if order(reservation=kind).is_handed_over] == [
        "handed over"
    ]
    handed_over = RESERVATIONS["handed over"]
    released = RESERVATIONS["released"]
    assert handed_over is not None
    assert released is not None
    assert not order(reservation=replace(handed_over, state=released.state)).is_handed_over


def test_an_order_has_prices_if_it_has_a_total_and_a_currency() -> None:
    lines = [OrderLine("p-1", 2, "Lamp", 100)]
    priced = replace(order(), items=lines, total=200, currency="EUR")
    assert priced.pricing == Pricing(items=lines, total=200, currency="EUR")
    for missing in ({"total": None}, {"currency": None}):
        assert replace(priced, **missing).pricing is None
    assert replace(priced, total=0).pricing is not None


def test_an_order_has_the_same_values_after_it_was_stored_and_read() -> None:
    for kind in RESERVATIONS.values():
        before = replace(order(OrderStatus.FAILED, attempt=2, reservation=kind), first_attempt=2)
        assert msgspec.convert(msgspec.to_builtins(before), Order) == before


@pytest.mark.parametrize("quantity", [1, 1000])
def test_a_line_may_have_a_quantity_from_1_to_1000(quantity: int) -> None:
    assert msgspec.convert({"productId": "p", "quantity": quantity}, NewOrderLine).quantity == quantity


@pytest.mark.parametrize("quantity", [0, -1, 1001, "1", 1.5, None])
def test_a_line_with_another_quantity_is_refused(quantity: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"productId": "p", "quantity": quantity}, NewOrderLine)


@pytest.mark.parametrize(("lines", "is_accepted"), [(0, False), (1, True), (50, True), (51, False)])
def test_an_order_has_1_to_50_lines(lines: int, is_accepted: bool) -> None:
    items = [{"productId": f"p-{number}", "quantity": 1} for number in range(lines)]
    request = {"userId": "u", "items": items}
    if is_accepted:
        assert len(msgspec.convert(request, NewOrder).items) == lines
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(request, NewOrder)


@pytest.mark.parametrize(
    "unknown",
    [
        {"userId": "u", "items": [{"productId": "p", "quantity": 1}], "total": 1},
        {"userId": "u", "items": [{"productId": "p", "quantity": 1, "unitPrice": 1}]},
    ],
)
def test_a_client_cannot_set_a_price(unknown: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert(unknown, NewOrder)
