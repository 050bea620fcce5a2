"""Parcels, refusals, returns and cancellations: what each report does to an order and to the stock."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from functions.shared.domain.errors import InvalidInput, NotHandedOver, ReportRefused, TooLateToCancel
from functions.shared.domain.moves import LEGAL_MOVES
from functions.shared.domain.orders import (
    MAX_LINES,
    HistoryEntry,
    Order,
    OrderLine,
    OrderStatus,
    Reservation,
    ReservationState,
    Shipment,
)
from functions.shared.domain.shipping import (
    MAX_ORDER_BYTES,
    MAX_REPORTS,
    Recorded,
    RefusalReport,
    ReturnReport,
    ShipmentReport,
    Word,
    ask_to_cancel,
    by_product,
    held,
    record_cancellation,
    record_refusal,
    record_return,
    record_shipment,
    record_word,
    refused,
    returned,
    shipped,
)
from functions.shared.persistence.dynamodb import struct_to_item
from tests.functions.shared.domain import samples
from tests.functions.shared.domain.samples import AT, LATER, mistakes

SHIPPED_AT = "2026-01-02T08:00:00Z"
DELIVERED_AT = "2026-01-03T08:00:00Z"
ORDERED = {"p-1": 3, "p-2": 2}
OUTSIDE = "partner.example"


def in_fulfillment(
    status: OrderStatus = OrderStatus.IN_FULFILLMENT, quantities: Mapping[str, int] = ORDERED
) -> Order:
    """An order that a fulfillment system has, with its stock held."""
    before = () if status is OrderStatus.VALIDATED else (status,)
    order = samples.order(
        OrderStatus.VALIDATED, *before, reservation=samples.held_reservation(handed_over_to=OUTSIDE)
    )
    lines = [OrderLine(product_id, pieces) for product_id, pieces in quantities.items()]
    return replace(order, items=lines)


def given_up(status: OrderStatus = OrderStatus.FAILED, **changes: Any) -> Order:
    """An order that a fulfillment system had before its stock was released."""
    released = Reservation(ReservationState.RELEASED, 1, handed_over_to=OUTSIDE)
    order = samples.order(OrderStatus.VALIDATED, status, reservation=released)
    if status is OrderStatus.VALIDATED:
        order = samples.order(status, reservation=released)
    lines = [OrderLine(product_id, pieces) for product_id, pieces in ORDERED.items()]
    return replace(order, items=lines, **changes)


def lines_of(pieces: Mapping[str, int], **more: object) -> list[dict[str, object]]:
    return [{"productId": product_id, "quantity": count, **more} for product_id, count in pieces.items()]


def parcel_content(**fields: object) -> dict[str, object]:
    return {"lines": lines_of(ORDERED), "shippedAt": SHIPPED_AT, **fields}


def parcel(pieces: Mapping[str, int] | None = None, /, **fields: Any) -> ShipmentReport:
    return msgspec.convert(parcel_content(**{"lines": lines_of(pieces or ORDERED), **fields}), ShipmentReport)


def refusal(pieces: Mapping[str, int] | None = None, reason: str = "broken") -> RefusalReport:
    return msgspec.convert({"lines": lines_of(pieces or ORDERED), "reason": reason}, RefusalReport)


def return_of(
    pieces: Mapping[str, int], status: str = "RECEIVED", *, restock: bool = True, **fields: object
) -> ReturnReport:
    content = {"status": status, "lines": lines_of(pieces, restock=restock), **fields}
    return msgspec.convert(content, ReturnReport)


def ship(order: Order, shipment_id: str = "s-1", /, **pieces: int) -> Recorded:
    return record_shipment(order, shipment_id, parcel(_named(pieces)), at=LATER)


def deliver(order: Order, shipment_id: str = "s-1", /, **pieces: int) -> Recorded:
    report = parcel(_named(pieces), deliveredAt=DELIVERED_AT)
    return record_shipment(order, shipment_id, report, at=LATER)


def refuse(order: Order, refusal_id: str = "r-1", /, **pieces: int) -> Recorded:
    return record_refusal(order, refusal_id, refusal(_named(pieces)), at=LATER)


def receive(order: Order, return_id: str = "t-1", /, *, restock: bool = True, **pieces: int) -> Recorded:
    return record_return(order, return_id, return_of(_named(pieces), restock=restock), at=LATER)


def announce(order: Order, return_id: str = "t-1", /, **pieces: int) -> Recorded:
    return record_return(order, return_id, return_of(_named(pieces), "REQUESTED"), at=LATER)


def _named(pieces: Mapping[str, int]) -> dict[str, int]:
    """Products by their names in a test: `p1=2`."""
    return {f"p-{name[1:]}": count for name, count in pieces.items()}


def statuses(order: Order) -> list[str]:
    return [entry.status.value for entry in order.history[2:]]


# --- parcels ----------------------------------------------------------------------------------------------


def test_one_parcel_with_everything_fulfills_the_order() -> None:
    recorded = ship(in_fulfillment())
    assert recorded.order.status is OrderStatus.FULFILLED
    assert (recorded.stock, recorded.is_new, recorded.is_unexpected) == ({}, True, False)
    assert held(recorded.order) == [0, 0]
    assert shipped(recorded.order) == [3, 2]


def test_the_first_of_two_parcels_leaves_the_order_in_fulfillment_and_the_second_fulfills_it() -> None:
    first = ship(in_fulfillment(), p1=2)
    assert first.order.status is OrderStatus.IN_FULFILLMENT
    assert held(first.order) == [1, 2]
    second = ship(first.order, "s-2", p1=1, p2=2)
    assert second.order.status is OrderStatus.FULFILLED
    assert statuses(second.order) == ["IN_FULFILLMENT", "FULFILLED"]


def test_a_parcel_that_is_reported_before_the_answer_to_the_request_counts() -> None:
    recorded = ship(in_fulfillment(OrderStatus.VALIDATED), p1=1)
    assert recorded.order.status is OrderStatus.IN_FULFILLMENT
    assert (recorded.order.history[-1].at, recorded.is_unexpected) == (LATER, False)
    whole = ship(in_fulfillment(OrderStatus.VALIDATED))
    assert statuses(whole.order) == ["FULFILLED"]


def test_the_same_parcel_twice_is_one_parcel() -> None:
    first = ship(in_fulfillment(), p1=2)
    again = ship(first.order, p1=2)
    assert tuple(again) == (first.order, {}, False, False, (), False, ())
    assert again.order is first.order


@pytest.mark.parametrize("order_of_lines", [["p-1", "p-2"], ["p-2", "p-1"]])
def test_the_order_of_the_lines_of_a_parcel_has_no_effect(order_of_lines: list[str]) -> None:
    first = ship(in_fulfillment())
    again = parcel({product_id: ORDERED[product_id] for product_id in order_of_lines})
    assert record_shipment(first.order, "s-1", again, at=LATER).order is first.order


def test_reports_in_another_sequence_end_in_the_same_status_and_quantities() -> None:
    reports: list[Callable[[Order], Recorded]] = [
        lambda order: deliver(order, "s-1", p1=2),
        lambda order: deliver(order, "s-2", p2=1),
        lambda order: refuse(order, "r-1", p1=1, p2=1),
    ]
    ends = set()
    for sequence in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        order = in_fulfillment()
        stock: Counter[str] = Counter()
        for number in sequence:
            recorded = reports[number](order)
            order = recorded.order
            stock.update(recorded.stock)
        ends.add((order.status, tuple(shipped(order)), tuple(refused(order)), tuple(sorted(stock.items()))))
    assert ends == {(OrderStatus.DELIVERED, (2, 1), (1, 1), (("p-1", 1), ("p-2", 1)))}


@pytest.mark.parametrize("pieces", [{"p1": 4}, {"p1": 1, "p2": 3}])
def test_more_than_was_ordered_is_refused(pieces: dict[str, int]) -> None:
    with pytest.raises(ReportRefused, match="are more than was ordered"):
        ship(in_fulfillment(), **pieces)


def test_more_than_is_left_after_parcels_and_refusals_is_refused() -> None:
    order = refuse(ship(in_fulfillment(), p1=1).order, p1=1).order
    with pytest.raises(ReportRefused, match=r"^4 of product p-1 are more than was ordered: 3$"):
        ship(order, "s-2", p1=2)
    with pytest.raises(ReportRefused, match=r"^4 of product p-1 are more than was ordered: 3$"):
        refuse(order, "r-2", p1=2)


def test_a_product_that_was_not_ordered_is_invalid() -> None:
    with pytest.raises(InvalidInput, match="expected a product of this order") as error:
        record_shipment(in_fulfillment(), "s-1", parcel({"p-1": 1, "p-9": 1}), at=LATER)
    assert error.value.field == "lines[1].productId"


def test_a_product_on_two_lines_of_a_parcel_is_invalid() -> None:
    twice = msgspec.convert({"lines": lines_of({"p-1": 1}) * 2, "shippedAt": SHIPPED_AT}, ShipmentReport)
    with pytest.raises(InvalidInput, match="one line per product") as error:
        record_shipment(in_fulfillment(), "s-1", twice, at=LATER)
    assert error.value.field == "lines[1].productId"


def test_a_parcel_that_is_delivered_before_it_is_shipped_is_invalid() -> None:
    report = parcel(deliveredAt="2026-01-02T07:59:59.999Z")
    with pytest.raises(InvalidInput, match="expected a time after shippedAt") as error:
        record_shipment(in_fulfillment(), "s-1", report, at=LATER)
    assert error.value.field == "deliveredAt"
    report = parcel(deliveredAt=SHIPPED_AT)
    assert record_shipment(in_fulfillment(), "s-1", report, at=LATER).order.status is OrderStatus.DELIVERED


@pytest.mark.parametrize(
    "order",
    [
        samples.order(),
        samples.order(OrderStatus.VALIDATED, reservation=samples.held_reservation()),
        samples.order(OrderStatus.VALIDATED, OrderStatus.FULFILLED, reservation=samples.held_reservation()),
    ],
    ids=["pending", "held, not handed over", "shipped in place"],
)
def test_a_report_on_an_order_that_no_fulfillment_system_has_is_refused(order: Order) -> None:
    for record in (
        partial(record_shipment, shipment_id="s-1", report=parcel({"p-1": 1})),
        partial(record_refusal, refusal_id="r-1", report=refusal({"p-1": 1})),
        partial(record_word, word=Word("s-1")),
    ):
        with pytest.raises(NotHandedOver, match=f"^the order is {order.status.value}, and no fulfillment"):
            record(order, at=LATER)


# --- facts that are added, and facts that are taken back --------------------------------------------------


def test_a_later_report_adds_tracking_and_delivery_to_a_parcel() -> None:
    order = ship(in_fulfillment()).order
    tracking: dict[str, Any] = {
        "carrier": "DHL",
        "trackingNumber": "4711",
        "trackingUrl": "https://tracking.example.com/4711",
    }
    tracked = record_shipment(order, "s-1", parcel(**tracking), at=LATER)
    assert (tracked.is_new, tracked.stock) == (False, {})
    assert tracked.order.shipments[0].tracking_number == "4711"
    assert tracked.order.status is OrderStatus.FULFILLED
    done = record_shipment(tracked.order, "s-1", parcel(**tracking, deliveredAt=DELIVERED_AT), at=LATER)
    assert done.order.status is OrderStatus.DELIVERED


def test_a_carrier_that_changes_is_corrected() -> None:
    order = record_shipment(in_fulfillment(), "s-1", parcel(carrier="DHL"), at=LATER).order
    changed = record_shipment(order, "s-1", parcel(carrier="UPS"), at=LATER)
    assert changed.order.shipments[0].carrier == "UPS"


def test_an_addition_changes_only_its_parcel() -> None:
    order = ship(ship(in_fulfillment(), "s-1", p1=1).order, "s-2", p1=1).order
    changed = record_shipment(order, "s-2", parcel({"p-1": 1}, carrier="UPS"), at=LATER).order
    assert [(one.id, one.carrier) for one in changed.shipments] == [("s-1", None), ("s-2", "UPS")]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"carrier": "DHL"}, {}, "shipment s-1 was reported with its carrier before"),
        ({"trackingNumber": "4711"}, {}, "shipment s-1 was reported with its tracking number before"),
        (
            {"trackingUrl": "https://t.example/1"},
            {},
            "shipment s-1 was reported with its tracking url before",
        ),
        ({"deliveredAt": DELIVERED_AT}, {}, "shipment s-1 was delivered at 2026-01-03T08:00:00.000Z"),
        (
            {"deliveredAt": DELIVERED_AT},
            {"deliveredAt": "2026-01-04T08:00:00Z"},
            "shipment s-1 was delivered at 2026-01-03T08:00:00.000Z",
        ),
        ({}, {"shippedAt": DELIVERED_AT}, "shipment s-1 was shipped at 2026-01-02T08:00:00.000Z"),
        ({}, {"lines": lines_of({"p-1": 1})}, "shipment s-1 was reported with other lines before"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_report_that_takes_a_fact_back_is_refused(
    first: dict[str, Any], second: dict[str, Any], message: str
) -> None:
    order = record_shipment(in_fulfillment(), "s-1", parcel(**first), at=LATER).order
    with pytest.raises(ReportRefused, match=f"^{message}$"):
        record_shipment(order, "s-1", parcel(**second), at=LATER)


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
def test_an_equal_time_in_another_zone_is_the_same_time() -> None:
    order = ship(in_fulfillment()).order
    assert order.shipments[0].shipped_at == "2026-01-02T08:00:00.000Z"
    again = parcel(shippedAt="2026-01-02T09:00:00+01:00")
    assert record_shipment(order, "s-1", again, at=LATER).order is order


def test_a_parcel_that_shipped_at_once_gets_the_time_of_its_first_report() -> None:
    order = in_fulfillment(OrderStatus.FULFILLED)
    order = replace(order, shipments=[Shipment(shipment_id="s-1")])
    assert held(order) == [0, 0]
    changed = deliver(order)
    assert changed.order.status is OrderStatus.DELIVERED
    assert changed.order.shipments[0].quantities is None
    assert changed.order.shipments[0].shipped_at == "2026-01-02T08:00:00.000Z"


# --- delivery ---------------------------------------------------------------------------------------------


def test_an_order_is_delivered_when_all_its_parcels_are() -> None:
    order = deliver(in_fulfillment(), p1=3).order
    assert order.status is OrderStatus.IN_FULFILLMENT
    order = ship(order, "s-2", p2=2).order
    assert order.status is OrderStatus.FULFILLED
    order = deliver(order, "s-2", p2=2).order
    assert order.status is OrderStatus.DELIVERED
    assert statuses(order) == ["IN_FULFILLMENT", "FULFILLED", "DELIVERED"]


def test_a_last_parcel_that_is_delivered_already_fulfills_and_delivers_the_order() -> None:
    order = deliver(in_fulfillment()).order
    assert statuses(order) == ["IN_FULFILLMENT", "FULFILLED", "DELIVERED"]


# --- refusals ---------------------------------------------------------------------------------------------


def test_a_refused_line_goes_back_to_stock_once() -> None:
    first = refuse(in_fulfillment(), p1=1)
    assert (first.stock, first.is_new) == ({"p-1": 1}, True)
    assert first.order.status is OrderStatus.IN_FULFILLMENT
    assert held(first.order) == [2, 2]
    again = refuse(first.order, p1=1)
    assert again == Recorded(first.order)


def test_an_order_is_fulfilled_once_each_line_is_shipped_or_refused() -> None:
    order = ship(refuse(in_fulfillment(), p2=2).order, p1=3).order
    assert order.status is OrderStatus.FULFILLED
    order = refuse(ship(in_fulfillment(), p1=3).order, p2=2).order
    assert order.status is OrderStatus.FULFILLED


def test_an_order_fails_and_is_released_when_all_is_refused() -> None:
    first = refuse(in_fulfillment(), "r-1", p1=3)
    second = refuse(first.order, "r-2", p2=2)
    order = second.order
    assert (order.status, order.status_reason) == (OrderStatus.FAILED, "refused: broken")
    assert not order.holds_stock
    assert (first.stock, second.stock) == ({"p-1": 3}, {"p-2": 2})
    assert (held(order), refused(order)) == ([0, 0], [0, 0])
    again = refuse(order, "r-1", p1=3)
    assert again == Recorded(order)


def test_a_refusal_with_other_lines_than_before_is_refused() -> None:
    order = refuse(in_fulfillment(), p1=1).order
    with pytest.raises(ReportRefused, match=r"^refusal r-1 was reported with other lines before$"):
        refuse(order, p1=2)


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.CANCELLED])
def test_a_refusal_after_a_release_puts_nothing_back(status: OrderStatus) -> None:
    recorded = refuse(given_up(status), p1=3)
    assert (recorded.stock, recorded.order.status) == ({}, status)
    assert (recorded.order.refusals[0].attempt, refused(recorded.order)) == (0, [0, 0])
    assert refuse(recorded.order, p1=3).order is recorded.order


def test_a_refusal_of_an_earlier_reservation_may_be_repeated_for_the_present_one() -> None:
    order = refuse(in_fulfillment(), p1=1).order
    order = replace(order, attempt=2, reservation=samples.held_reservation(2, handed_over_to=OUTSIDE))
    again = refuse(order, p1=1)
    assert (again.stock, again.is_new) == ({"p-1": 1}, True)
    assert [(one.id, one.attempt) for one in again.order.refusals] == [("r-1", 2)]


def test_a_refusal_of_an_earlier_attempt_does_not_fail_the_next_attempt() -> None:
    recorded = refuse(given_up(OrderStatus.VALIDATED, attempt=2))
    assert (recorded.stock, recorded.order.status) == ({}, OrderStatus.VALIDATED)


# --- parcels of an order that was given up ----------------------------------------------------------------


@pytest.mark.parametrize("status", [OrderStatus.FAILED, OrderStatus.CANCELLED, OrderStatus.REJECTED])
def test_a_parcel_after_a_release_takes_its_pieces_from_the_stock_and_is_unexpected(
    status: OrderStatus,
) -> None:
    recorded = ship(given_up(status), p1=2)
    assert (recorded.stock, recorded.is_unexpected, recorded.is_new) == ({"p-1": -2}, True, True)
    assert recorded.order.status is status
    assert recorded.order.shipments[0].is_late
    assert ship(recorded.order, p1=2) == Recorded(recorded.order)


def test_a_parcel_of_an_earlier_attempt_does_not_fulfill_the_next_attempt_without_a_reservation() -> None:
    recorded = ship(given_up(OrderStatus.VALIDATED, attempt=2))
    assert recorded.order.status is OrderStatus.VALIDATED
    assert (recorded.stock, recorded.is_unexpected) == ({"p-1": -3, "p-2": -2}, True)


def test_a_parcel_of_a_failed_order_that_still_holds_its_stock_takes_nothing_from_it() -> None:
    order = replace(in_fulfillment(OrderStatus.FAILED), attempt=4)
    recorded = ship(order, p1=2)
    assert (recorded.stock, recorded.is_unexpected) == ({}, True)
    assert held(recorded.order) == [1, 2]


def test_a_delivery_keeps_a_late_parcel_late() -> None:
    order = ship(given_up(), p1=2).order
    delivered = deliver(order, p1=2)
    assert (delivered.stock, delivered.order.shipments[0].is_late) == ({}, True)
    assert delivered.order.status is OrderStatus.FAILED


# --- what the fulfillment system says when it is asked ----------------------------------------------------


def test_an_answer_with_one_parcel_ships_what_is_not_shipped_yet() -> None:
    order = ship(in_fulfillment(), p1=1).order
    recorded = record_word(replace(order, unsent=[]), Word(whole="s-2"), at=LATER)
    assert recorded.order.status is OrderStatus.FULFILLED
    assert recorded.order.shipments[1] == Shipment(shipment_id="s-2", quantities=[2, 2], shipped_at=LATER)
    assert recorded.order.unsent == ["shipment/s-2", "status/3"]
    assert (recorded.is_new, recorded.order.history[-1].at) == (True, LATER)
    assert record_word(recorded.order, Word(whole="s-2"), at=LATER).order is recorded.order
    assert record_word(order, Word(whole="s-1"), at=LATER) == Recorded(order)


def test_an_answer_brings_parcels_and_refusals_that_are_not_known_yet() -> None:
    word = Word(
        shipments=[("s-1", parcel({"p-1": 2})), ("s-2", parcel({"p-1": 1}))],
        refusals=[("r-1", refusal({"p-2": 2}))],
    )
    recorded = record_word(ship(in_fulfillment(), p1=2).order, word, at=LATER)
    assert recorded.order.status is OrderStatus.FULFILLED
    assert (recorded.stock, recorded.is_new) == ({"p-2": 2}, True)
    assert record_word(recorded.order, word, at=LATER) == Recorded(recorded.order)


def test_a_report_in_an_answer_that_contradicts_the_order_is_left_out_and_named() -> None:
    word = Word(
        shipments=[("s-1", parcel({"p-1": 4})), ("s-2", parcel({"p-9": 1})), ("s-3", parcel({"p-1": 1}))]
    )
    recorded = record_word(in_fulfillment(), word, at=LATER)
    assert [one.shipment_id for one in recorded.order.shipments] == ["s-3"]
    assert recorded.contradictions == (
        "4 of product p-1 are more than was ordered: 3",
        "expected a product of this order",
    )


def test_an_answer_about_an_order_that_was_given_up_reports_its_late_parcels() -> None:
    recorded = record_word(given_up(), Word(shipments=[("s-1", parcel({"p-1": 1}))]), at=LATER)
    assert (recorded.stock, recorded.is_unexpected) == ({"p-1": -1}, True)


# --- returns ----------------------------------------------------------------------------------------------


def test_an_announced_return_changes_no_stock_and_may_change() -> None:
    first = announce(ship(in_fulfillment()).order, p1=1)
    assert (first.stock, first.is_new) == ({}, True)
    (back,) = first.order.returns
    assert (back.status, back.restocked, back.at, back.reason) == ("REQUESTED", [1, 0], LATER, None)
    changed = announce(first.order, p1=2)
    assert (changed.stock, changed.is_new, returned(changed.order)) == ({}, False, [2, 0])


def test_a_received_return_goes_back_to_stock_once() -> None:
    order = announce(ship(in_fulfillment()).order, p1=2).order
    first = receive(order, p1=2)
    assert (first.stock, first.is_new) == ({"p-1": 2}, False)
    again = receive(first.order, p1=2)
    assert again == Recorded(first.order)
    assert returned(again.order, only_restocked=True) == [2, 0]


def test_a_return_that_is_repeated_later_changes_nothing() -> None:
    order = ship(in_fulfillment()).order
    for status in ("REQUESTED", "RECEIVED"):
        order = record_return(order, "t-1", return_of({"p-1": 1}, status), at=AT).order
        again = record_return(order, "t-1", return_of({"p-1": 1}, status), at=LATER)
        assert again.order is order


def test_a_received_return_that_cannot_be_sold_again_does_not_go_back_to_stock() -> None:
    report = msgspec.convert(
        {"status": "RECEIVED", "lines": lines_of({"p-1": 2}), "reason": "broken"}, ReturnReport
    )
    assert report.lines[0].restock is False
    recorded = record_return(ship(in_fulfillment()).order, "t-1", report, at=LATER)
    assert (recorded.stock, recorded.is_new) == ({}, True)
    assert recorded.order.returns[0].reason == "broken"
    assert returned(recorded.order, only_restocked=True) == [0, 0]
    assert returned(recorded.order) == [2, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda order: announce(order, p1=2),
        lambda order: receive(order, p1=1),
        lambda order: receive(order, restock=False, p1=2),
    ],
    ids=["announced again", "fewer pieces", "not for sale"],
)
def test_a_received_return_is_final(change: Callable[[Order], Recorded]) -> None:
    order = receive(ship(in_fulfillment()).order, p1=2).order
    with pytest.raises(ReportRefused, match=r"^return t-1 was received already, with other content$"):
        change(order)


def test_what_never_shipped_cannot_come_back() -> None:
    with pytest.raises(ReportRefused, match=r"^1 of product p-1 are more than was shipped: 0$"):
        announce(in_fulfillment(), p1=1)
    order = ship(in_fulfillment(), p1=2).order
    with pytest.raises(ReportRefused, match=r"^3 of product p-1 are more than was shipped: 2$"):
        announce(order, p1=3)
    with pytest.raises(ReportRefused, match=r"^1 of product p-2 are more than was shipped: 0$"):
        receive(order, p2=1)


def test_several_returns_together_are_at_most_what_was_shipped() -> None:
    order = announce(receive(ship(in_fulfillment()).order, "t-1", p1=1).order, "t-2", p1=1).order
    assert returned(announce(order, "t-3", p1=1).order) == [3, 0]
    with pytest.raises(ReportRefused, match=r"^4 of product p-1 are more than was shipped: 3$"):
        announce(order, "t-3", p1=2)


def test_an_order_that_shipped_in_place_has_returns_too() -> None:
    order = samples.order(
        OrderStatus.VALIDATED, OrderStatus.FULFILLED, reservation=samples.held_reservation()
    )
    order = replace(order, shipments=[Shipment(shipment_id="shipment-o-1")])
    assert receive(order, p1=2).stock == {"p-1": 2}


def test_an_unknown_product_of_a_return_is_invalid() -> None:
    order = ship(in_fulfillment()).order
    with pytest.raises(InvalidInput, match="expected a product of this order"):
        receive(order, p9=1)


# --- cancellation -----------------------------------------------------------------------------------------


def asked(order: Order | None = None) -> Order:
    return ask_to_cancel(order or in_fulfillment(), at=LATER).order


def test_a_cancellation_in_fulfillment_is_asked_for_once() -> None:
    first = ask_to_cancel(in_fulfillment(), at=AT)
    assert (first.order.status, first.order.cancel_requested_at) == (OrderStatus.IN_FULFILLMENT, AT)
    assert first.is_new
    assert ask_to_cancel(first.order, at=LATER) == Recorded(first.order)


@pytest.mark.parametrize(
    "status", [status for status in OrderStatus if status is not OrderStatus.IN_FULFILLMENT]
)
def test_only_a_cancellation_of_an_order_in_fulfillment_is_asked_for(status: OrderStatus) -> None:
    order = samples.order(status)
    with pytest.raises(TooLateToCancel, match=f"^the order is {status.value} already$"):
        ask_to_cancel(order, at=LATER)


def test_an_agreed_cancellation_cancels_the_order_and_releases_its_stock_once() -> None:
    recorded = record_cancellation(asked(), agreed=True, at=LATER)
    assert recorded.order.status is OrderStatus.CANCELLED
    assert recorded.order.reservation == Reservation(ReservationState.RELEASED, 1, handed_over_to=OUTSIDE)
    assert (recorded.stock, recorded.is_new) == (ORDERED, True)
    again = record_cancellation(recorded.order, agreed=True, at=LATER)
    assert again == Recorded(recorded.order)


def test_a_declined_cancellation_leaves_the_order_in_fulfillment_and_is_final() -> None:
    recorded = record_cancellation(asked(), agreed=False, at=LATER)
    assert (recorded.order.status, recorded.stock) == (OrderStatus.IN_FULFILLMENT, {})
    assert (recorded.order.cancel_refused_at, recorded.is_new) == (LATER, True)
    with pytest.raises(TooLateToCancel, match=r"^the fulfillment system declined: it ships the order$"):
        ask_to_cancel(recorded.order, at=LATER)
    assert record_cancellation(recorded.order, agreed=True, at=LATER) == Recorded(recorded.order)


def test_an_agreed_cancellation_after_a_first_parcel_fulfills_the_order_without_the_rest() -> None:
    order = ship(asked(), p1=1).order
    recorded = record_cancellation(order, agreed=True, at=LATER)
    assert recorded.order.status is OrderStatus.FULFILLED
    assert recorded.stock == {"p-1": 2, "p-2": 2}
    assert (held(recorded.order), shipped(recorded.order)) == ([0, 0], [1, 0])


def test_an_agreed_cancellation_after_a_refusal_releases_only_what_is_held() -> None:
    order = refuse(asked(), p1=1).order
    recorded = record_cancellation(order, agreed=True, at=LATER)
    assert (recorded.order.status, recorded.stock) == (OrderStatus.CANCELLED, {"p-1": 2, "p-2": 2})


def test_what_the_system_shipped_is_recorded_before_its_agreed_cancellation() -> None:
    order = replace(asked(), unsent=[])
    word = Word(shipments=[("s-1", parcel({"p-1": 1}))], refusals=[("r-1", refusal({"p-2": 1}))])
    recorded = record_cancellation(order, agreed=True, at=LATER, word=word)
    assert recorded.order.status is OrderStatus.FULFILLED
    assert recorded.stock == {"p-1": 2, "p-2": 2}
    assert [(one.id, one.quantities, one.reason, one.attempt) for one in recorded.order.refusals] == [
        ("r-1", [0, 1], "broken", 1),
        ("cancelled", [2, 1], "cancelled", 1),
    ]
    assert recorded.order.unsent == ["shipment/s-1", "status/3"]
    assert not recorded.is_unexpected


def test_a_system_that_agreed_after_its_last_parcel_has_shipped_the_order() -> None:
    recorded = record_cancellation(asked(), agreed=True, at=LATER, word=Word(shipments=[("s-1", parcel())]))
    assert (recorded.order.status, recorded.stock) == (OrderStatus.FULFILLED, {})
    assert (recorded.order.refusals, recorded.order.history[-1].at) == ([], LATER)


def test_a_contradiction_does_not_stop_an_agreed_cancellation() -> None:
    word = Word(shipments=[("s-1", parcel({"p-1": 9}))])
    recorded = record_cancellation(asked(), agreed=True, at=LATER, word=word)
    assert (recorded.order.status, recorded.stock) == (OrderStatus.CANCELLED, ORDERED)
    assert recorded.contradictions == ("9 of product p-1 are more than was ordered: 3",)


def test_a_cancellation_that_loses_against_the_last_parcel_changes_nothing() -> None:
    order = ship(asked()).order
    assert order.status is OrderStatus.FULFILLED
    assert record_cancellation(order, agreed=True, at=LATER) == Recorded(order)


def test_a_parcel_that_loses_against_an_agreed_cancellation_is_an_unexpected_fact() -> None:
    order = record_cancellation(asked(), agreed=True, at=LATER).order
    recorded = ship(order, p1=1)
    assert (recorded.order.status, recorded.is_unexpected) == (OrderStatus.CANCELLED, True)
    assert recorded.stock == {"p-1": -1}


def test_a_cancellation_that_was_not_asked_for_changes_nothing() -> None:
    order = in_fulfillment()
    assert record_cancellation(order, agreed=True, at=LATER) == Recorded(order)


def test_a_release_is_of_the_present_attempt() -> None:
    order = replace(asked(), attempt=2)
    released = record_cancellation(order, agreed=True, at=LATER).order.reservation
    assert released == Reservation(ReservationState.RELEASED, 2, handed_over_to=OUTSIDE)


@pytest.mark.parametrize(
    "record",
    [
        lambda order: ship(order, p1=1),
        lambda order: refuse(order, p1=1),
        lambda order: record_word(order, Word(whole="s-9"), at=LATER),
        lambda order: record_word(order, Word(refusals=[("r-1", refusal({"p-1": 1}))]), at=LATER),
        lambda order: record_shipment(order, "s-0", parcel({"p-1": 1}, carrier="DHL"), at=LATER),
        lambda order: announce(order, p1=1),
        lambda order: ask_to_cancel(order, at=LATER),
        lambda order: record_cancellation(replace(order, cancel_requested_at=AT), agreed=False, at=LATER),
        lambda order: record_cancellation(replace(order, cancel_requested_at=AT), agreed=True, at=LATER),
        lambda order: record_cancellation(
            replace(order, cancel_requested_at=AT, shipments=[]), agreed=True, at=LATER
        ),
    ],
)
def test_every_change_sets_the_time_of_the_order(record: Callable[[Order], Recorded]) -> None:
    order = replace(ship(in_fulfillment(), "s-0", p1=1).order, updated_at=AT)
    assert record(order).order.updated_at == LATER


@pytest.mark.parametrize(
    ("record", "to", "reason"),
    [
        (lambda: refuse(ship(in_fulfillment(), p1=1).order, p1=2, p2=2), OrderStatus.FULFILLED, None),
        (lambda: refuse(in_fulfillment()), OrderStatus.FAILED, "refused: broken"),
        (lambda: deliver(ship(in_fulfillment()).order), OrderStatus.DELIVERED, None),
        (lambda: record_cancellation(asked(), agreed=True, at=LATER), OrderStatus.CANCELLED, None),
        (
            lambda: record_cancellation(ship(asked(), p1=1).order, agreed=True, at=LATER),
            OrderStatus.FULFILLED,
            None,
        ),
    ],
)
def test_a_move_has_the_time_of_its_report_and_a_reason(
    record: Callable[[], Recorded], to: OrderStatus, reason: str | None
) -> None:
    order = record().order
    assert order.history[-1] == HistoryEntry(to, LATER, reason)
    assert order.status_reason == reason


# --- events that are owed ---------------------------------------------------------------------------------


def test_a_report_on_a_final_order_owes_the_events_of_earlier_moves_too() -> None:
    order = replace(ship(in_fulfillment()).order, unsent=[], due_at=LATER)
    moves = [f"status/{number}" for number in range(4)]
    assert receive(order, p1=1).order.unsent == ["return/t-1", *moves]
    assert deliver(order).order.unsent == [*moves, "status/4"]


def test_a_report_owes_the_event_of_its_fact_and_of_each_move() -> None:
    order = deliver(in_fulfillment()).order
    assert order.unsent == ["shipment/s-1", "status/3", "status/4"]
    assert receive(order, p1=1).order.unsent[3:] == ["return/t-1"]
    assert announce(replace(order, unsent=[]), p1=1).order.unsent == []
    assert asked().unsent == ["cancellation"]


def test_an_addition_and_a_repeat_owe_no_event_of_the_parcel() -> None:
    order = replace(ship(in_fulfillment(), p1=1).order, unsent=[])
    assert record_shipment(order, "s-1", parcel({"p-1": 1}, carrier="DHL"), at=LATER).order.unsent == []


# --- limits -----------------------------------------------------------------------------------------------


def test_an_order_has_at_most_fifty_parcels_refusals_and_returns() -> None:
    order = in_fulfillment(quantities={"p-1": 1000})
    for number in range(MAX_REPORTS):
        order = ship(order, f"s-{number}", p1=1).order
        order = refuse(order, f"r-{number}", p1=1).order
        order = announce(order, f"t-{number}", p1=1).order
    for noun, record in (("shipments", ship), ("refusals", refuse)):
        with pytest.raises(ReportRefused, match=f"^an order has at most 50 {noun}$"):
            record(order, "more", p1=1)
    order = replace(order, returns=[replace(one, quantities=[0]) for one in order.returns])
    with pytest.raises(ReportRefused, match=r"^an order has at most 50 returns$"):
        announce(order, "more", p1=1)


def largest_order() -> Order:
    """An order with the most and longest content, before anything is reported."""
    title = "\U0001f4e6" * 200
    return replace(
        in_fulfillment(),
        items=[
            OrderLine(f"{number:064}", 1000, title=title, unit_price=100_000_000)
            for number in range(MAX_LINES)
        ],
        metadata={f"{number:040}": "\U0001f4e6" * 200 for number in range(20)},
        reference="\U0001f4e6" * 64,
    )


def test_an_order_may_have_90_000_bytes() -> None:
    order = in_fulfillment()
    (line, *others) = order.items
    size = len(msgspec.json.encode(ship(replace(order, items=[replace(line, title=""), *others])).order))
    titles = ["x" * (90_000 - size + more) for more in (0, 1)]
    largest, too_large = (replace(order, items=[replace(line, title=title), *others]) for title in titles)
    assert len(msgspec.json.encode(ship(largest).order)) == 90_000
    with pytest.raises(ReportRefused, match=r"^the order would have 90001 bytes, and may have 90000$"):
        ship(too_large)


def test_a_report_that_makes_an_order_too_large_is_refused_and_the_item_stays_below_100_kb() -> None:
    order = largest_order()
    products = [line.product_id for line in order.items]
    long = "\U0001f4e6" * 64
    reasons: set[str] = set()
    for number in range(MAX_REPORTS):
        report = msgspec.convert(
            {
                "lines": lines_of(dict.fromkeys(products, 1)),
                "shippedAt": SHIPPED_AT,
                "deliveredAt": DELIVERED_AT,
                "carrier": long,
                "trackingNumber": long,
                "trackingUrl": "https://" + "\U0001f4e6" * 490,
            },
            ShipmentReport,
        )
        for decide in (
            partial(record_shipment, shipment_id=f"{number:064}", report=report, at=LATER),
            partial(
                record_refusal,
                refusal_id=f"{number:064}",
                report=refusal(dict.fromkeys(products, 1), "\U0001f4e6" * 200),
                at=LATER,
            ),
            partial(
                record_return,
                return_id=f"{number:064}",
                report=return_of(dict.fromkeys(products, 1), reason="\U0001f4e6" * 200),
                at=LATER,
            ),
        ):
            try:
                order = decide(order).order
            except ReportRefused as error:
                reasons.add(re.sub(r"\d+", "N", str(error)))
    assert "the order would have N bytes, and may have N" in reasons
    assert len(msgspec.json.encode(order)) <= MAX_ORDER_BYTES
    assert item_bytes(struct_to_item(order)) < 100_000


def item_bytes(value: Any) -> int:
    """The size of an item by DynamoDB's rules.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    if set(value) == {"S"}:
        return len(value["S"].encode())
    if set(value) == {"B"}:
        return len(value["B"])
    if set(value) == {"N"}:
        return len(value["N"]) // 2 + 2
    if set(value) == {"BOOL"}:
        return 1
    if set(value) == {"L"}:
        return 3 + sum(1 + item_bytes(element) for element in value["L"])
    content, base = (value["M"], 3) if set(value) == {"M"} else (value, 0)
    return base + sum(1 + len(name.encode()) + item_bytes(element) for name, element in content.items())


# --- format -----------------------------------------------------------------------------------------------

_URL = "an https URL of at most 500 characters or null"
_TEXT = "a text on one line of 1 to 64 characters or null"
_TIME = "a time such as 2026-01-31T08:00:00Z"


def test_a_report_is_written_as_it_was_sent() -> None:
    shipment = {"lines": lines_of(ORDERED), "shippedAt": SHIPPED_AT}
    back = {"status": "REQUESTED", "lines": lines_of(ORDERED)}
    for content, kind in ((shipment, ShipmentReport), (back, ReturnReport)):
        assert msgspec.to_builtins(msgspec.convert(content, kind)) == content


@pytest.mark.parametrize(
    ("field", "longest", "expected"),
    [
        ("carrier", "x" * 64, _TEXT),
        ("trackingNumber", "x" * 64, _TEXT),
        ("trackingUrl", "https://" + "x" * 492, _URL),
    ],
)
def test_a_text_of_a_parcel_has_a_limit(field: str, longest: str, expected: str) -> None:
    for text in (longest, longest[:9]):
        assert mistakes(ShipmentReport, parcel_content(**{field: text})) == []
    for text in (longest + "x", " ", longest[:9] + "\n"):
        assert mistakes(ShipmentReport, parcel_content(**{field: text})) == [(field, f"expected {expected}")]


def test_a_time_of_a_parcel_has_a_zone() -> None:
    content = parcel_content(shippedAt="2026-01-31T08:00:00")
    assert mistakes(ShipmentReport, content) == [("shippedAt", f"expected {_TIME}")]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ShipmentReport, {"shippedAt": SHIPPED_AT}),
        (RefusalReport, {"reason": "broken"}),
        (ReturnReport, {"status": "RECEIVED"}),
    ],
)
def test_a_report_has_1_to_50_lines_and_no_unknown_field(
    kind: type[msgspec.Struct], content: dict[str, object]
) -> None:
    lines = [{"productId": f"p-{number}", "quantity": 1} for number in range(51)]
    assert mistakes(kind, content | {"lines": lines[:50]}) == []
    for wrong in ([], lines):
        found = mistakes(kind, content | {"lines": wrong})
        assert found == [("lines", "expected a list of 1 to 50 elements")]
    assert [field for field, _ in mistakes(kind, content | {"lines": lines[:1], "size": 1})] == ["size"]
    unknown = content | {"lines": [{**lines[0], "color": "red"}]}
    assert [field for field, _ in mistakes(kind, unknown)] == ["lines[0].color"]
    for pieces, is_valid in ((1, True), (1000, True), (0, False), (1001, False)):
        found = mistakes(kind, content | {"lines": lines_of({"p-1": pieces})})
        assert [field for field, _ in found] == ([] if is_valid else ["lines[0].quantity"])


# --- conservation -----------------------------------------------------------------------------------------

_PIECES = st.dictionaries(st.sampled_from(["p1", "p2"]), st.integers(1, 3), min_size=1)
_IDS = st.sampled_from(["1", "2", "3"])
_REPORTS = st.one_of(
    st.tuples(st.sampled_from([ship, deliver, refuse, receive, announce]), _IDS, _PIECES),
    st.tuples(st.sampled_from(["ask", "agree", "decline", "release"]), st.none(), st.none()),
)


def _apply(order: Order, report: Any) -> Recorded:
    what, fact_id, pieces = report
    if what == "ask":
        return ask_to_cancel(order, at=LATER)
    if what in {"agree", "decline"}:
        return record_cancellation(order, agreed=what == "agree", at=LATER)
    if what == "release":  # an operator gives a failed order up
        if not (order.status is OrderStatus.FAILED and order.holds_stock):
            return Recorded(order)
        released = replace(
            order, reservation=Reservation(ReservationState.RELEASED, order.attempt, handed_over_to=OUTSIDE)
        )
        return Recorded(released, by_product(order, held(order)))
    return what(order, fact_id, **pieces)  # type: ignore[no-any-return]


@given(
    st.sampled_from([OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT, OrderStatus.FAILED]),
    st.lists(_REPORTS, max_size=12),
)
@settings(max_examples=400, deadline=None)
def test_every_piece_is_in_stock_held_or_shipped_after_any_sequence_of_reports(
    status: OrderStatus, reports: list[Any]
) -> None:
    order = in_fulfillment(status)
    stock = Counter({"p-1": 0, "p-2": 0})
    for report in reports:
        try:
            recorded = _apply(order, report)
        except (ReportRefused, TooLateToCancel):
            continue
        assert _apply(recorded.order, report).stock == {}, "a repeat changed the stock"
        before, order = order, recorded.order
        for product, pieces in recorded.stock.items():
            stock[product] += pieces
        _check_balance(order, stock)
        new = [entry.status for entry in order.history[len(before.history) - 1 :]]
        for source, target in pairwise(new):
            assert target in LEGAL_MOVES[source]


def _check_balance(order: Order, stock: Mapping[str, int]) -> None:
    ordered = [line.quantity for line in order.items]
    numbers = [held(order), shipped(order), refused(order), returned(order)]
    assert all(pieces >= 0 for quantities in numbers for pieces in quantities)
    restocked = returned(order, only_restocked=True)
    for number, line in enumerate(order.items):
        pieces_held, pieces_shipped = held(order)[number], shipped(order)[number]
        assert stock[line.product_id] + pieces_held + pieces_shipped - restocked[number] == ordered[number]
        assert restocked[number] <= returned(order)[number] <= pieces_shipped <= ordered[number]
    done = not any(held(order)) and order.holds_stock
    if done and order.status in (OrderStatus.VALIDATED, OrderStatus.IN_FULFILLMENT):
        raise AssertionError(f"nothing is left to ship, and the order is {order.status}")
