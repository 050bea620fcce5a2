"""A new order."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from functions.shared.domain.errors import InvalidInput, RejectionCode
from functions.shared.domain.orders import (
    UNFINISHED_STATUSES,
    Fulfillment,
    HistoryEntry,
    Money,
    NewOrder,
    NewOrderLine,
    Order,
    OrderContent,
    OrderLine,
    OrderStatus,
    Pricing,
    Refusal,
    Reservation,
    ReservationState,
    Return,
    ReturnStatus,
    Shipment,
    ValidatedOrder,
    new_order,
)
from tests.functions.shared.domain.samples import AT, LATER, RESERVATIONS, mistakes, order

REQUEST = {"userId": "u", "items": [{"productId": "p", "quantity": 1}]}
REFUSAL = {"refusalId": "r-1", "quantities": [1], "reason": "why", "attempt": 1}
RETURN = {"returnId": "r-1", "status": "RECEIVED", "quantities": [2], "restocked": [1], "at": AT}


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


def test_the_statuses_are_those_of_the_contract() -> None:
    names = "PENDING VALIDATED IN_FULFILLMENT FULFILLED DELIVERED REJECTED CANCELLED FAILED"
    assert [status.value for status in OrderStatus] == names.split()
    assert [status.value for status in UNFINISHED_STATUSES] == names.split()[:3]
    assert [state.value for state in ReservationState] == ["HELD", "RELEASED"]
    assert [status.value for status in ReturnStatus] == ["REQUESTED", "RECEIVED"]


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (OrderLine, {"productId": "p-1", "quantity": 2}),
        (HistoryEntry, {"status": "PENDING", "at": AT}),
        (Reservation, {"state": "HELD", "attempt": 1}),
        (Shipment, {"shipmentId": "s-1"}),
        (Refusal, REFUSAL),
        (Return, RETURN),
        (Fulfillment, {"status": "FULFILLED"}),
        (ValidatedOrder, {"items": [], "total": 0, "currency": "EUR"}),
        (OrderContent, {}),
        (NewOrder, REQUEST),
        (
            Order,
            {"orderId": "o-1", "userId": "u-1", "items": [], "status": "PENDING", "history": []}
            | {"attempt": 1, "createdAt": AT, "updatedAt": AT},
        ),
    ],
)
def test_a_record_has_and_stores_nothing_else_by_default(
    kind: type[msgspec.Struct], stored: dict[str, object]
) -> None:
    record = msgspec.convert(stored, kind)
    assert msgspec.to_builtins(record) == stored
    other: dict[str, object] = {
        "is_late": False,
        "in_place": False,
        "has_content": False,
        "revision": 0,
        "first_attempt": 1,
    }
    other |= {"shipments": [], "refusals": [], "returns": [], "unsent": []}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in stored:
            value, expected = getattr(record, field.name), other.get(field.name)
            assert (value, type(value)) == (expected, type(expected)), field.name


def test_a_report_has_the_id_that_its_sender_gave() -> None:
    assert Shipment(shipment_id="s-1").id == "s-1"
    assert msgspec.convert(REFUSAL, Refusal).id == msgspec.convert(RETURN, Return).id == "r-1"
    for valid in ("s", "s" * 128):
        assert mistakes(Shipment, {"shipmentId": valid}) == []
    for invalid in ("", "s" * 129):
        assert len(mistakes(Shipment, {"shipmentId": invalid})) == 1


def test_an_expected_total_is_the_price_of_a_possible_order() -> None:
    for valid in (0, 5_000_000_000_000):
        assert mistakes(Money, {"amount": valid, "currency": "EUR"}) == []
    for invalid in ({"amount": -1}, {"amount": 5_000_000_000_001}, {"amount": 1, "minor": True}):
        assert len(mistakes(Money, {"currency": "EUR"} | invalid)) == 1


_TEXT = "expected a text without control characters of at most 200 characters"
_KEYS = "expected keys that are a text on one line of 1 to 40 characters"
_SIZE = "expected an object of at most 20 elements or null"


@pytest.mark.parametrize(
    ("metadata", "wrong"),
    [
        ({"k": ""}, []),
        ({"k" * 40: "v" * 200, "l": "a\nb"}, []),
        ({str(number): "v" for number in range(20)}, []),
        ({str(number): "v" for number in range(21)}, [("metadata", _SIZE)]),
        ({"": "v"}, [("metadata", _KEYS)]),
        ({"k" * 41: "v"}, [("metadata", _KEYS)]),
        ({"k\n": "v"}, [("metadata", _KEYS)]),
        ({"k": "v" * 201}, [("metadata.k", _TEXT)]),
        ({"k": "\x00"}, [("metadata.k", _TEXT)]),
    ],
)
def test_metadata_are_up_to_20_short_texts(metadata: dict[str, str], wrong: list[tuple[str, str]]) -> None:
    assert mistakes(NewOrder, REQUEST | {"metadata": metadata}) == wrong


def test_an_order_keeps_what_the_client_says_and_the_total_is_not_for_the_fulfillment_system() -> None:
    content = {"expected_total": Money(5, "EUR"), "reference": "r"}
    new = replace(msgspec.convert(REQUEST, NewOrder), **content)
    placed = new_order(new, order_id="o-1", at=AT, due_at=LATER, with_fingerprint=True)
    assert placed.content == content
    assert placed.for_fulfillment == {"reference": "r"}


@pytest.mark.parametrize(
    ("status", "requested", "refused", "waits"),
    [
        (OrderStatus.IN_FULFILLMENT, AT, None, True),
        (OrderStatus.IN_FULFILLMENT, AT, LATER, False),
        (OrderStatus.IN_FULFILLMENT, None, None, False),
        (OrderStatus.FULFILLED, AT, None, False),
    ],
)
def test_an_order_in_fulfillment_waits_for_the_answer_to_a_cancel(
    status: OrderStatus, requested: str | None, refused: str | None, waits: bool
) -> None:
    asked = replace(order(status), cancel_requested_at=requested, cancel_refused_at=refused)
    assert asked.waits_for_cancellation is waits


def test_only_a_rejected_order_has_the_code_of_its_reason() -> None:
    reason = "price_changed: why"
    rejected = replace(order(OrderStatus.REJECTED), status_reason=reason)
    assert rejected.rejection_code is RejectionCode.PRICE_CHANGED
    assert replace(order(OrderStatus.FAILED), status_reason=reason).rejection_code is None
