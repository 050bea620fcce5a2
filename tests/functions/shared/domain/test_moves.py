"""The moves of an order: which are legal, and why one was refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from functions.shared.domain.errors import FulfillmentRefused, OrderCancelled, Superseded, TooLateToCancel
from functions.shared.domain.moves import (
    CONDITIONS,
    LEGAL_MOVES,
    Move,
    StatusChange,
    StockRule,
    conditions_hold,
    last_change_to,
    raise_unless_repeated,
    raise_unless_reserved,
    recent_changes,
    sources_of,
)
from functions.shared.domain.orders import OrderStatus, Reservation, ReservationState, Shipment
from tests.functions.shared.domain.samples import AT, RESERVATIONS, held_reservation, move, order


def test_the_legal_moves_are_those_of_the_design() -> None:
    assert {
        (source.value, target.value) for source, targets in LEGAL_MOVES.items() for target in targets
    } == {
        ("PENDING", "VALIDATED"),
        ("PENDING", "REJECTED"),
        ("PENDING", "CANCELLED"),
        ("PENDING", "FAILED"),
        ("VALIDATED", "IN_FULFILLMENT"),
        ("VALIDATED", "FULFILLED"),
        ("VALIDATED", "REJECTED"),
        ("VALIDATED", "CANCELLED"),
        ("VALIDATED", "FAILED"),
        ("IN_FULFILLMENT", "FULFILLED"),
        ("IN_FULFILLMENT", "CANCELLED"),
        ("IN_FULFILLMENT", "FAILED"),
        ("FULFILLED", "DELIVERED"),
        ("FAILED", "PENDING"),
    }


def test_every_state_has_a_row_in_both_tables() -> None:
    assert set(LEGAL_MOVES) == set(CONDITIONS) == set(OrderStatus)
    assert all(isinstance(row.stock, StockRule) for row in CONDITIONS.values())


def test_a_move_has_only_its_status_and_time_unless_more_is_said() -> None:
    bare = Move(order_id="o-1", to=OrderStatus.VALIDATED, at=AT)
    optional = (bare.attempt, bare.reason, bare.pricing, bare.shipment, bare.due_at)
    assert optional == (None,) * 5
    assert bare.in_place is False


PARCEL = Shipment(shipment_id="s-1")
ALL = {"none", "released", "held", "handed over"}


@pytest.mark.parametrize(
    ("to", "allowed"),
    [
        (OrderStatus.PENDING, ALL),
        (OrderStatus.VALIDATED, ALL),
        (OrderStatus.IN_FULFILLMENT, {"held", "handed over"}),
        (OrderStatus.FULFILLED, {"held", "handed over"}),
        (OrderStatus.DELIVERED, {"held", "handed over"}),
        (OrderStatus.REJECTED, {"none", "released"}),
        (OrderStatus.CANCELLED, {"none", "released"}),
        (OrderStatus.FAILED, {"none", "released", "handed over"}),
    ],
)
def test_the_conditions_of_a_move_allow_these_reservations(to: OrderStatus, allowed: set[str]) -> None:
    found = {name for name, held in RESERVATIONS.items() if conditions_hold(order(reservation=held), to)}
    assert found == allowed
    verdicts = [conditions_hold(order(reservation=held), to) for held in RESERVATIONS.values()]
    assert all(isinstance(verdict, bool) for verdict in verdicts)


def test_an_order_that_shipped_is_retried_only_while_its_stock_is_held() -> None:
    shipped = [
        name
        for name, held in RESERVATIONS.items()
        if conditions_hold(replace(order(reservation=held), shipments=[PARCEL]), OrderStatus.PENDING)
    ]
    assert shipped == ["held", "handed over"]


def test_the_recent_changes_are_those_since_the_last_pending_oldest_first() -> None:
    once = order(OrderStatus.VALIDATED, OrderStatus.FAILED)
    pending, validated, failed = (OrderStatus.PENDING, OrderStatus.VALIDATED, OrderStatus.FAILED)
    assert recent_changes(once) == [
        StatusChange(0, pending, None, AT, None),
        StatusChange(1, validated, pending, AT, None),
        StatusChange(2, failed, validated, AT, None),
    ]
    assert recent_changes(order(validated, failed, pending, validated)) == [
        StatusChange(3, pending, failed, AT, None),
        StatusChange(4, validated, pending, AT, None),
    ]


def test_only_an_order_that_is_validated_or_in_fulfillment_can_be_fulfilled() -> None:
    assert sources_of(OrderStatus.FULFILLED) == (OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT)


def test_a_move_that_was_made_before_is_a_repeat() -> None:
    raise_unless_repeated(order(OrderStatus.VALIDATED), move(OrderStatus.VALIDATED))


def test_a_move_that_later_moves_followed_is_a_repeat_too() -> None:
    raise_unless_repeated(
        order(OrderStatus.VALIDATED, OrderStatus.FULFILLED, reservation=held_reservation()),
        move(OrderStatus.VALIDATED),
    )


def test_a_move_of_an_earlier_attempt_is_superseded() -> None:
    with pytest.raises(Superseded):
        raise_unless_repeated(order(OrderStatus.VALIDATED, attempt=2), move(OrderStatus.FULFILLED, attempt=1))


def test_a_move_in_place_names_the_system_that_has_the_order() -> None:
    has = replace(
        order(OrderStatus.VALIDATED), reservation=held_reservation(handed_over_to="partner.example")
    )
    fulfilled = move(OrderStatus.FULFILLED)
    for refused, message in (
        (replace(fulfilled, in_place=True), "the fulfillment system partner.example has the order"),
        (fulfilled, "the order is VALIDATED in attempt 1"),
    ):
        with pytest.raises(Superseded, match=message):
            raise_unless_repeated(has, refused)
    for stock in (None, held_reservation()):
        with pytest.raises(Superseded, match="the order is VALIDATED in attempt 1"):
            raise_unless_repeated(replace(has, reservation=stock), replace(fulfilled, in_place=True))


def test_a_move_that_a_rejected_order_did_not_make_is_superseded() -> None:
    with pytest.raises(Superseded):
        raise_unless_repeated(order(OrderStatus.REJECTED), move(OrderStatus.VALIDATED))


def test_a_move_of_a_cancelled_order_raises_order_cancelled_in_every_attempt() -> None:
    cancelled = order(OrderStatus.CANCELLED, attempt=2)
    for attempt in (1, 2):
        with pytest.raises(OrderCancelled):
            raise_unless_repeated(cancelled, move(OrderStatus.VALIDATED, attempt=attempt))


def test_a_state_reached_before_an_operators_retry_does_not_count_as_reached() -> None:
    retried = order(OrderStatus.VALIDATED, OrderStatus.FAILED, OrderStatus.PENDING, attempt=2)
    assert last_change_to(retried, OrderStatus.VALIDATED) is None
    assert last_change_to(retried, OrderStatus.PENDING) is not None


@pytest.mark.parametrize("final", [OrderStatus.FULFILLED, OrderStatus.FAILED])
def test_a_cancel_of_a_final_order_is_too_late(final: OrderStatus) -> None:
    with pytest.raises(TooLateToCancel, match=final.value):
        raise_unless_repeated(order(OrderStatus.VALIDATED, final), move(OrderStatus.CANCELLED, attempt=None))


def test_a_cancel_of_an_order_with_a_reservation_is_too_late() -> None:
    with pytest.raises(TooLateToCancel, match="reserved"):
        raise_unless_repeated(
            order(OrderStatus.VALIDATED, reservation=held_reservation()),
            move(OrderStatus.CANCELLED, attempt=None),
        )


def test_a_second_cancel_is_a_repeat() -> None:
    raise_unless_repeated(order(OrderStatus.CANCELLED), move(OrderStatus.CANCELLED, attempt=None))


@pytest.mark.parametrize("status", [OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT, OrderStatus.FULFILLED])
def test_a_reservation_that_is_held_is_a_repeat(status: OrderStatus) -> None:
    raise_unless_reserved(order(status, reservation=held_reservation()), 1)


def test_an_attempt_cannot_reserve_again_after_it_has_released() -> None:
    released = Reservation(state=ReservationState.RELEASED, attempt=1)
    with pytest.raises(Superseded):
        raise_unless_reserved(order(OrderStatus.VALIDATED, reservation=released), 1)


@pytest.mark.parametrize(
    ("status", "attempt"),
    [(OrderStatus.VALIDATED, 2), (OrderStatus.FAILED, 1), (OrderStatus.REJECTED, 1)],
)
def test_a_reservation_of_another_attempt_or_status_is_no_repeat(status: OrderStatus, attempt: int) -> None:
    with pytest.raises(Superseded):
        raise_unless_reserved(order(status, reservation=held_reservation()), attempt)


def test_parcels_that_left_after_the_release_are_not_shipped_again() -> None:
    released = Reservation(state=ReservationState.RELEASED, attempt=1)
    shipped = replace(order(OrderStatus.VALIDATED, reservation=released), shipments=[PARCEL])
    with pytest.raises(FulfillmentRefused):
        raise_unless_reserved(shipped, 1)
    for current in (replace(shipped, attempt=2), replace(shipped, status=OrderStatus.FAILED)):
        with pytest.raises(Superseded):
            raise_unless_reserved(current, 1)


def test_a_repeat_of_another_attempts_move_is_superseded() -> None:
    for attempt in (1, 3):
        with pytest.raises(Superseded):
            raise_unless_repeated(
                order(OrderStatus.VALIDATED, attempt=2), move(OrderStatus.VALIDATED, attempt=attempt)
            )


def test_a_change_keeps_the_reason_of_its_move() -> None:
    """The event of a repeat carries it too."""
    failed = order(OrderStatus.FAILED)
    entry = failed.history[1]
    with_reason = replace(failed, history=[failed.history[0], replace(entry, reason="why")])
    change = last_change_to(with_reason, OrderStatus.FAILED)
    assert change is not None
    assert change.reason == "why"
