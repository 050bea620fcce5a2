"""`update_order_status` makes a legal move, publishes its event and counts it."""

from __future__ import annotations

import json

import pytest

from functions.shared import aws
from functions.shared.domain.errors import OrderCancelled, Superseded
from functions.shared.persistence.reservations import Reservations
from local.memory.backend import MemoryBackend
from local.memory.functions import invoke_task


def statuses(backend: MemoryBackend, order_id: str) -> list[str]:
    return [entry["status"] for entry in backend.stored_order(order_id)["history"]]


def test_a_move_is_stored_in_the_history_and_published(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(price=100): 2})
    order = backend.stored_order(order_id)
    assert (order["status"], order["total"], statuses(backend, order_id)) == (
        "VALIDATED",
        200,
        ["PENDING", "VALIDATED"],
    )
    (event,) = backend.take_events()
    assert event["detail-type"] == "OrderValidated"
    assert event["detail"] == {
        "version": 1,
        "eventId": event["detail"]["eventId"],
        "orderId": order_id,
        "userId": order["userId"],
        "reference": None,
        "status": "VALIDATED",
        "previousStatus": "PENDING",
        "occurredAt": order["history"][1]["at"],
        "reason": None,
        "rejectionCode": None,
    }


def test_a_repeated_move_changes_nothing_and_publishes_the_same_event_again(
    backend: MemoryBackend,
) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    before = backend.stored_order(order_id)
    invoke_task(
        "update_order_status",
        order_id,
        status="VALIDATED",
        pricing={"items": [], "total": 0, "currency": "X"},
    )
    assert backend.stored_order(order_id) == before
    first, second = backend.take_events()
    assert first["detail"] == second["detail"]


def test_a_fulfilled_order_has_its_shipment_and_leaves_the_open_index(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    shipment = backend.reserve(order_id)
    moved = invoke_task("update_order_status", order_id, status="FULFILLED", fulfillment=shipment)
    assert moved == {"orderId": order_id, "status": "FULFILLED"}
    order = backend.stored_order(order_id)
    assert (order["status"], order["shipments"]) == ("FULFILLED", [shipment["shipment"]])
    assert "openShard" not in order
    assert "dueAt" not in order


@pytest.mark.parametrize("status", ["REJECTED", "FAILED"])
def test_an_order_with_a_reservation_can_only_be_fulfilled(backend: MemoryBackend, status: str) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, status=status, reason="x")
    assert backend.stored_order(order_id)["status"] == "VALIDATED"


def test_an_order_without_a_reservation_cannot_be_fulfilled(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, status="FULFILLED", shipment={"shipmentId": "s"})


def test_an_order_that_a_fulfillment_system_has_is_not_fulfilled_in_place(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    in_place = backend.reserve(order_id)
    Reservations(aws.client("dynamodb"), "orders", "products").hand_over(
        order_id, 1, to="partner.example", at="2026-01-01T00:00:00.000Z"
    )
    with pytest.raises(Superseded, match=r"partner\.example has the order"):
        invoke_task("update_order_status", order_id, status="FULFILLED", fulfillment=in_place)
    assert statuses(backend, order_id) == ["PENDING", "VALIDATED"]


def test_a_move_of_an_earlier_attempt_is_superseded_and_changes_nothing(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.set_order(order_id, attempt=2)
    before = backend.stored_order(order_id)
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, 1, status="REJECTED", reason="x")
    assert backend.stored_order(order_id) == before


def test_a_move_of_a_cancelled_order_raises_order_cancelled(backend: MemoryBackend) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    backend.api.post(f"/orders/{order_id}/cancel")
    with pytest.raises(OrderCancelled):
        invoke_task("update_order_status", order_id, status="REJECTED", reason="x")


def test_an_order_in_fulfillment_is_due_when_the_task_says(backend: MemoryBackend) -> None:
    order_id = backend.create_validated_order({backend.create_product(): 1})
    backend.reserve(order_id)
    later = {"status": "IN_FULFILLMENT", "dueAt": "2026-06-09T00:00:00.000Z"}
    invoke_task("update_order_status", order_id, status="IN_FULFILLMENT", fulfillment=later)
    assert backend.order(order_id).due_at == later["dueAt"]


def test_metrics_count_a_rejection_by_its_reason(
    backend: MemoryBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = backend.create_order(backend.create_user(), {backend.create_product(): 1})
    capsys.readouterr()
    invoke_task(
        "update_order_status", order_id, status="REJECTED", reason="unknown_user: there is no user: x"
    )
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(metric["OrdersRejected"], metric["reason"]) for metric in metrics] == [([1.0], "unknown_user")]
