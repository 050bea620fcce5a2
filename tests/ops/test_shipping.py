"""`python -m ops orders`: what left and came back, orders without a report, and returns that arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from functions.shared.domain.orders import Order, ReturnStatus
from functions.shared.domain.shipping import (
    Recorded,
    RefusalReport,
    ReportedLine,
    ReturnedLine,
    ReturnReport,
    ShipmentReport,
    record_refusal,
    record_return,
    record_shipment,
)
from functions.shared.persistence.open_index import shard_of
from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from ops.stacks import on_aws
from tests.ops.conftest import OUTPUTS, STACK, Ops, product_of

SHIPPED_AT = datetime(2026, 1, 31, 8, tzinfo=UTC)
DUE_AT = "2026-06-03T00:00:00.000Z"


def report(order_id: str, record: Callable[..., Recorded], fact_id: str, content: object) -> Order:
    """Records a report as `reports_api` does."""
    at = "2026-06-01T12:00:00.000Z"
    stack = on_aws("test", OUTPUTS)
    decide = partial(lambda order: record(order, fact_id, content, at=at))
    return stack.reporting.record(order_id, decide, at=at, due_at=DUE_AT).order


def ship(backend: MemoryBackend, order_id: str, pieces: int, **fields: Any) -> None:
    lines = [ReportedLine(product_of(backend, order_id), pieces)]
    report(order_id, record_shipment, "S-1", ShipmentReport(lines=lines, shipped_at=SHIPPED_AT, **fields))


def refuse(backend: MemoryBackend, order_id: str, pieces: int) -> None:
    lines = [ReportedLine(product_of(backend, order_id), pieces)]
    report(order_id, record_refusal, "N-1", RefusalReport(lines=lines, reason="broken"))


def announce(backend: MemoryBackend, order_id: str, pieces: int, *, restock: bool = False) -> None:
    lines = [ReturnedLine(product_of(backend, order_id), pieces, restock)]
    content = ReturnReport(status=ReturnStatus.REQUESTED, lines=lines, reason="too big")
    report(order_id, record_return, "R-1", content)


@pytest.fixture
def order_id(backend: MemoryBackend) -> str:
    """The id of an order in fulfillment, with four of ten pieces reserved."""
    created = backend.create_validated_order({backend.create_product(stock=10): 4})
    backend.reserve(created)
    stored = backend.stored_order(created)
    backend.set_order(
        created,
        status="IN_FULFILLMENT",
        history=[*stored["history"], {"status": "IN_FULFILLMENT", "at": stored["updatedAt"]}],
        reservation={**stored["reservation"], "handedOverTo": "partner/orders"},
        openShard=shard_of(created),
        dueAt=DUE_AT,
    )
    return created


@pytest.fixture
def shipped_order(backend: MemoryBackend, order_id: str) -> str:
    """The id of an order of which three pieces are shipped, and one is not."""
    ship(backend, order_id, 3)
    backend.take_events()
    return order_id


# --- show -------------------------------------------------------------------------------------------------


def test_an_order_is_shown_with_the_balance_of_each_line(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    ship(backend, order_id, 2)
    refuse(backend, order_id, 1)
    announce(backend, order_id, 1)
    result = ops("orders", "show", order_id)
    assert "ordered held shipped refused returned" in result.out
    assert "Lamp 4 1 2 1 1" in result.out
    assert "Refusal N-1: 1 x Lamp; broken" in result.out
    assert "R-1 REQUESTED 1 x Lamp none" in result.out
    assert ops("orders", "show", order_id, "--json").json["balance"] == [
        {
            "productId": product_of(backend, order_id),
            "ordered": 4,
            "held": 1,
            "shipped": 2,
            "refused": 1,
            "returned": 1,
        }
    ]


def test_an_order_without_a_reservation_is_shown_without_a_balance(backend: MemoryBackend, ops: Ops) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    assert "refused" not in ops("orders", "show", order_id).out


def test_a_parcel_is_shown_with_its_carrier_tracking_and_times(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    delivered_at = datetime(2026, 2, 1, 9, tzinfo=UTC)
    ship(backend, order_id, 4, carrier="Post", tracking_number="JJ12", delivered_at=delivered_at)
    result = ops("orders", "show", order_id)
    assert "Status DELIVERED" in result.out
    assert "Reservation shipped" in result.out
    for fact in ("S-1", "4 x Lamp", "Post", "JJ12", "2026-01-31T08:00", "2026-02-01T09:00"):
        assert fact in result.out


def test_a_parcel_of_an_order_that_was_given_up_is_marked(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    stored = backend.stored_order(order_id)
    backend.set_order(order_id, status="FAILED", reservation={**stored["reservation"], "state": "RELEASED"})
    ship(backend, order_id, 4)
    (parcel,) = ops("orders", "show", order_id, "--json").json["shipments"]
    assert parcel["isLate"]
    shown = ops("orders", "show", order_id).out
    assert all(word in shown for word in ("given", "up", "before"))


def test_an_order_that_waits_for_parcels_owes_no_event(ops: Ops, order_id: str) -> None:
    result = ops("orders", "show", order_id)
    assert f"Due {DUE_AT}" in result.out
    assert "not published" not in result.out


def test_a_requested_cancellation_is_shown_with_its_answer(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    backend.set_order(order_id, cancelRequestedAt="2026-06-01T10:00:00.000Z")
    assert "Cancellation requested 2026-06-01T10:00:00.000Z" in ops("orders", "show", order_id).out
    backend.set_order(order_id, cancelRefusedAt="2026-06-01T11:00:00.000Z")
    assert "; declined 2026-06-01T11:00:00.000Z" in ops("orders", "show", order_id).out


def test_a_due_order_in_fulfillment_is_stalled_because_its_parcels_are_not_reported(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    backend.set_order(order_id, dueAt="2026-01-01T00:00:00.000Z")
    assert "parcels not reported" in ops("orders", "stalled").out


# --- overdue ----------------------------------------------------------------------------------------------


def test_orders_without_a_report_for_so_many_hours_are_listed_the_longest_first(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    other = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    late = {**backend.stored_order(order_id), "orderId": f"{order_id[:-1]}x", "openShard": "0"}
    backend.put("orders", {**late, "updatedAt": "2026-05-20T00:00:00.000Z"})
    backend.set_order(order_id, updatedAt="2026-05-29T00:00:00.000Z")
    backend.set_order(other, updatedAt="2026-05-01T00:00:00.000Z")  # waits for the workflow, and is no case
    found = ops("orders", "overdue", "--json").json
    assert [order["orderId"] for order in found] == [late["orderId"], order_id]
    shown = ops("orders", "overdue", "--limit", "1").out
    assert "4 of 4" in shown
    assert "partner/orders" in shown
    assert "There are more than these 1" in shown


def test_an_order_that_was_asked_about_again_is_overdue_until_there_is_a_report(
    backend: MemoryBackend, ops: Ops, order_id: str
) -> None:
    """After each request the order is due later: `dueAt` alone would hide it."""
    backend.set_order(order_id, updatedAt="2026-05-20T00:00:00.000Z", dueAt="2026-06-03T00:00:00.000Z")
    assert order_id in ops("orders", "overdue").out
    ship(backend, order_id, 1)
    assert ops("orders", "overdue").out == "No order in fulfillment waits for 48 hours or more."


def test_every_page_of_the_open_index_is_read(
    backend: MemoryBackend, ops: Ops, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.orders._PAGE", 1)
    stored = {**backend.stored_order(order_id), "updatedAt": "2026-05-20T00:00:00.000Z"}
    for number in range(3):
        backend.put("orders", {**stored, "orderId": f"o-{number}", "openShard": "0"})
    assert len(ops("orders", "overdue", "--json").json) == 3


# --- receive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("announced", "options", "restocked"),
    [
        (True, [], 2),
        (False, [], 0),
        (False, ["--restock"], 2),
        (True, ["--no-restock"], 0),
    ],
    ids=["as announced", "as announced without", "restock", "no restock"],
)
def test_an_announced_return_is_received_and_restocked_once(
    backend: MemoryBackend, ops: Ops, shipped_order: str, announced: bool, options: list[str], restocked: int
) -> None:
    announce(backend, shipped_order, 2, restock=announced)
    backend.take_events()
    before = backend.stock(product_of(backend, shipped_order))
    result = ops("orders", "receive", shipped_order, "R-1", *options, "--yes")
    assert result.out == (
        f"Return R-1 of order {shipped_order} is received (2 pieces, {restocked} back in stock)."
    )
    (back,) = backend.stored_order(shipped_order)["returns"]
    assert (back["status"], back["reason"]) == ("RECEIVED", "too big")
    assert [event["detail-type"] for event in backend.take_events()] == ["OrderReturned"]
    again = ops("orders", "receive", shipped_order, "R-1", *options, "--yes")
    assert again.out == (f"Return R-1 of order {shipped_order} was received before; nothing changed.")
    assert backend.stock(product_of(backend, shipped_order)) == before + restocked
    assert backend.take_events() == []


def test_a_return_that_was_not_announced_is_received_with_its_lines(
    backend: MemoryBackend, ops: Ops, shipped_order: str
) -> None:
    line = f"{product_of(backend, shipped_order)}=1"
    result = ops("orders", "receive", shipped_order, "R-9", "--line", line, "--restock", "--yes", "--json")
    assert result.json["changed"]
    (back,) = result.json["order"]["returns"]
    assert (back["returnId"], back["quantities"], back["restocked"]) == ("R-9", [1], [1])


def test_a_line_replaces_what_was_announced(backend: MemoryBackend, ops: Ops, shipped_order: str) -> None:
    announce(backend, shipped_order, 3, restock=True)
    line = f"{product_of(backend, shipped_order)}=1"
    ops("orders", "receive", shipped_order, "R-1", "--line", line, "--yes")
    (back,) = backend.stored_order(shipped_order)["returns"]
    assert (back["quantities"], back["restocked"]) == ([1], [1])


def test_a_return_does_not_change_when_the_fulfillment_system_is_asked(
    backend: MemoryBackend, ops: Ops, shipped_order: str
) -> None:
    announce(backend, shipped_order, 1)
    backend.set_order(shipped_order, dueAt=DUE_AT)
    ops("orders", "receive", shipped_order, "R-1", "--yes")
    assert backend.stored_order(shipped_order)["dueAt"] == DUE_AT


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "has no return R-1. Write --line PRODUCT_ID=QUANTITY for each product that arrived."),
        (["--line", "P=4"], "are more than was shipped: 3."),
        (["--line", "nothing=1"], "Expected a product of this order."),
        (["--line", "P=0"], "The return is not valid: "),
    ],
    ids=["not announced", "more than was shipped", "another product", "nothing"],
)
def test_a_return_that_cannot_be_changes_nothing(
    backend: MemoryBackend, ops: Ops, shipped_order: str, options: list[str], error: str
) -> None:
    before = backend.stored_order(shipped_order)
    product = product_of(backend, shipped_order)
    arguments = [option.replace("P=", f"{product}=") for option in options]
    result = ops("orders", "receive", shipped_order, "R-1", *arguments, "--yes")
    assert result.code == 1
    assert error in result.err
    assert backend.stored_order(shipped_order) == before


def test_a_received_return_does_not_change(backend: MemoryBackend, ops: Ops, shipped_order: str) -> None:
    announce(backend, shipped_order, 1)
    ops("orders", "receive", shipped_order, "R-1", "--yes")
    result = ops("orders", "receive", shipped_order, "R-1", "--restock", "--yes")
    assert (result.code, result.err) == (1, "Error: Return R-1 was received already, with other content.")


def test_an_invalid_id_of_a_return_is_refused(backend: MemoryBackend, ops: Ops, shipped_order: str) -> None:
    line = f"{product_of(backend, shipped_order)}=1"
    result = ops("orders", "receive", shipped_order, "a b", "--line", line, "--yes")
    assert result.code == 1
    assert result.err.startswith("Error: The return is not valid: ")


@pytest.mark.parametrize(
    "line", ["", "lamp", "lamp=", "=2", "lamp=two", "lamp=-1", "lamp=1=", f"a={'9' * 5000}"]
)
def test_a_line_without_product_and_quantity_is_a_wrong_usage(ops: Ops, line: str) -> None:
    result = ops("orders", "receive", "any", "R-1", "--line", line, "--yes")
    assert result.code == 2
    assert "Write PRODUCT_ID=QUANTITY" in result.err


def test_a_product_on_two_lines_is_a_wrong_usage(ops: Ops) -> None:
    assert ops("orders", "receive", "any", "R-1", "--line", "a=1", "--line", "a=2", "--yes").code == 2


@pytest.mark.parametrize(
    ("options", "effect"),
    [
        (["--restock"], " and put its items back to stock"),
        (["--no-restock"], ", nothing to stock"),
        ([], ""),
    ],
)
def test_the_question_says_what_happens_to_the_stock(
    backend: MemoryBackend, ops: Ops, shipped_order: str, options: list[str], effect: str
) -> None:
    announce(backend, shipped_order, 1)
    before = backend.stored_order(shipped_order)
    result = ops("orders", "receive", shipped_order, "R-1", *options, typed="n\n")
    assert result.code == 1
    assert f"Record return R-1 as received{effect} on stack {STACK}?" in result.err
    assert backend.stored_order(shipped_order) == before


def test_a_receipt_without_terminal_and_without_yes_is_refused_before_any_call(
    backend: MemoryBackend, ops: Ops
) -> None:
    backend.cloud.hook = Failing(lambda call, _request: AssertionError(call))
    result = ops("orders", "receive", "any", "R-1")
    assert result.code == 2
    assert "`orders receive` changes the stack" in result.err


def test_a_receipt_whose_event_is_not_published_says_so(
    backend: MemoryBackend, ops: Ops, shipped_order: str
) -> None:
    announce(backend, shipped_order, 1)
    backend.cloud.hook = Failing(refusal("InternalError"), "PutEvents")
    result = ops("orders", "receive", shipped_order, "R-1", "--yes")
    assert result.code == 0
    assert "Its event is not published yet; requeue_stalled_orders publishes it." in result.out
