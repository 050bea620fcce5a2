"""What an order owes first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import OrderStatus
from tests.functions.shared.domain.samples import AT, order

IN_FULFILLMENT = replace(order(OrderStatus.VALIDATED), status=OrderStatus.IN_FULFILLMENT)


@pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.VALIDATED])
def test_an_order_that_waits_for_the_workflow_owes_an_attempt(status: OrderStatus) -> None:
    assert owed(order(status)) is Obligation.ATTEMPT


@pytest.mark.parametrize(
    "status",
    [status for status in OrderStatus if status not in ("PENDING", "VALIDATED", "IN_FULFILLMENT")],
)
def test_a_final_order_owes_its_event_while_it_is_in_the_open_index(status: OrderStatus) -> None:
    final = replace(order(OrderStatus.VALIDATED), status=status)
    assert owed(final) is None
    assert owed(replace(final, due_at=AT)) is Obligation.EVENT


def test_an_order_in_fulfillment_owes_word_until_everything_is_shipped() -> None:
    assert owed(IN_FULFILLMENT) is Obligation.WORD


def test_a_request_to_cancel_is_owed_an_answer_until_there_is_one() -> None:
    asked = replace(IN_FULFILLMENT, cancel_requested_at=AT)
    assert owed(asked) is Obligation.CANCELLATION
    assert owed(replace(asked, cancel_refused_at=AT)) is Obligation.WORD


def test_the_events_of_reports_come_before_everything_else() -> None:
    for status in OrderStatus:
        assert owed(replace(IN_FULFILLMENT, status=status, unsent=["shipment/S-1"])) is Obligation.EVENT
