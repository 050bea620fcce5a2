"""The rules of an order, without any AWS."""

from __future__ import annotations

import pytest

from functions.shared.domain.errors import (
    InvalidInput,
    OrderCancelled,
    OrderRejected,
    Superseded,
    TooLateToCancel,
)
from functions.shared.domain.ids import event_id_for, order_id_for
from functions.shared.domain.moves import (
    CONDITIONS,
    LEGAL_MOVES,
    Move,
    last_change_to,
    raise_unless_repeated,
    raise_unless_reserved,
    sources_of,
)
from functions.shared.domain.orders import (
    HistoryEntry,
    NewOrder,
    NewOrderLine,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
    new_order,
)
from functions.shared.domain.pricing import price
from functions.shared.domain.products import Product

AT = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-01T00:01:00.000Z"


def order(*statuses: OrderStatus, attempt: int = 1, reservation: Reservation | None = None) -> Order:
    """An order that went through these states after PENDING."""
    history = [HistoryEntry(status=status, at=AT) for status in (OrderStatus.PENDING, *statuses)]
    return Order(
        order_id="o-1",
        user_id="u-1",
        items=[OrderLine(product_id="p-1", quantity=2)],
        status=history[-1].status,
        history=history,
        attempt=attempt,
        created_at=AT,
        updated_at=AT,
        reservation=reservation,
    )


def product(product_id: str, price: int = 100, currency: str = "EUR") -> Product:
    return Product(
        product_id=product_id,
        title=f"title of {product_id}",
        price=price,
        currency=currency,
        stock=5,
        version=1,
        created_at=AT,
        updated_at=AT,
    )


def held(attempt: int = 1, *, handed_over: bool = False) -> Reservation:
    return Reservation(state=ReservationState.HELD, attempt=attempt, handed_over=handed_over)


def move(to: OrderStatus, attempt: int | None = 1) -> Move:
    return Move(order_id="o-1", to=to, at=LATER, attempt=attempt)


def test_the_legal_moves_are_those_of_the_design() -> None:
    assert {
        (source.value, target.value) for source, targets in LEGAL_MOVES.items() for target in targets
    } == {
        ("PENDING", "VALIDATED"),
        ("PENDING", "REJECTED"),
        ("PENDING", "CANCELLED"),
        ("PENDING", "FAILED"),
        ("VALIDATED", "FULFILLED"),
        ("VALIDATED", "REJECTED"),
        ("VALIDATED", "CANCELLED"),
        ("VALIDATED", "FAILED"),
        ("FAILED", "PENDING"),
    }


def test_every_state_has_a_row_in_both_tables() -> None:
    assert set(LEGAL_MOVES) == set(CONDITIONS) == set(OrderStatus)


def test_only_a_validated_order_can_be_fulfilled() -> None:
    assert sources_of(OrderStatus.FULFILLED) == (OrderStatus.VALIDATED,)


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


def test_products_of_two_currencies_reject_the_order() -> None:
    lines = [OrderLine(product_id="a", quantity=1), OrderLine(product_id="b", quantity=1)]
    with pytest.raises(OrderRejected, match=r"^mixed_currencies: .*EUR and USD"):
        price(lines, {"a": product("a"), "b": product("b", currency="USD")})


def test_the_same_user_and_key_always_make_the_same_order_id() -> None:
    assert order_id_for("u-1", "key") == order_id_for("u-1", "key")


@pytest.mark.parametrize(("user", "key"), [("u-2", "key"), ("u-1", "other"), ("u", "1/key")])
def test_another_user_or_key_makes_another_order_id(user: str, key: str) -> None:
    assert order_id_for(user, key) != order_id_for("u-1", "key")


def test_the_fingerprint_tells_orders_apart_and_repeats_together() -> None:
    def fingerprint(quantity: int) -> str:
        return NewOrder(user_id="u", items=[NewOrderLine(product_id="p", quantity=quantity)]).fingerprint

    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(2)


# --- why a move was refused -------------------------------------------------------------------------------


def test_a_move_that_was_made_before_is_a_repeat() -> None:
    raise_unless_repeated(order(OrderStatus.VALIDATED), move(OrderStatus.VALIDATED))


def test_a_move_that_the_order_has_long_passed_is_a_repeat_too() -> None:
    raise_unless_repeated(
        order(OrderStatus.VALIDATED, OrderStatus.FULFILLED, reservation=held()), move(OrderStatus.VALIDATED)
    )


def test_a_move_of_an_earlier_attempt_is_superseded() -> None:
    with pytest.raises(Superseded):
        raise_unless_repeated(order(OrderStatus.VALIDATED, attempt=2), move(OrderStatus.FULFILLED, attempt=1))


def test_a_move_of_a_cancelled_order_ends_as_cancelled_whatever_its_attempt() -> None:
    cancelled = order(OrderStatus.CANCELLED, attempt=2)
    for attempt in (1, 2):
        with pytest.raises(OrderCancelled):
            raise_unless_repeated(cancelled, move(OrderStatus.VALIDATED, attempt=attempt))


def test_a_state_reached_before_an_operators_retry_does_not_count_as_reached() -> None:
    retried = order(OrderStatus.VALIDATED, OrderStatus.FAILED, OrderStatus.PENDING, attempt=2)
    assert last_change_to(retried, OrderStatus.VALIDATED) is None
    assert last_change_to(retried, OrderStatus.PENDING) is not None


@pytest.mark.parametrize("final", [OrderStatus.FULFILLED, OrderStatus.FAILED])
def test_a_cancel_of_a_final_order_is_told_so(final: OrderStatus) -> None:
    with pytest.raises(TooLateToCancel, match=final.value):
        raise_unless_repeated(order(OrderStatus.VALIDATED, final), move(OrderStatus.CANCELLED, attempt=None))


def test_a_cancel_of_an_order_whose_goods_are_held_is_told_so() -> None:
    with pytest.raises(TooLateToCancel, match="reserved"):
        raise_unless_repeated(
            order(OrderStatus.VALIDATED, reservation=held()), move(OrderStatus.CANCELLED, attempt=None)
        )


def test_a_second_cancel_is_a_repeat() -> None:
    raise_unless_repeated(order(OrderStatus.CANCELLED), move(OrderStatus.CANCELLED, attempt=None))


def test_a_reservation_that_is_held_is_a_repeat() -> None:
    raise_unless_reserved(order(OrderStatus.VALIDATED, reservation=held()), 1)


def test_goods_that_this_attempt_gave_back_are_never_reserved_again() -> None:
    released = Reservation(state=ReservationState.RELEASED, attempt=1)
    with pytest.raises(Superseded):
        raise_unless_reserved(order(OrderStatus.VALIDATED, reservation=released), 1)


def test_an_event_keeps_its_id_over_repeats_and_shares_it_with_no_other() -> None:
    fulfilled = order(OrderStatus.VALIDATED, OrderStatus.FULFILLED)
    changes = [last_change_to(fulfilled, status) for status in (OrderStatus.VALIDATED, OrderStatus.FULFILLED)]
    ids = [event_id_for("o-1", change.number) for change in changes if change is not None]
    assert ids == [event_id_for("o-1", change.number) for change in changes if change is not None]
    assert len({*ids, *(event_id_for("o-2", change.number) for change in changes if change is not None)}) == 4
