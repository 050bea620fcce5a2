"""The Lambdas behind the state machine: validating, reserving, releasing and moving orders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.shared.domain.errors import InvalidInput, OrderCancelled, OrderRejected, Superseded
from local.memory.functions import World, invoke_task


def statuses(world: World, order_id: str) -> list[str]:
    return [entry["status"] for entry in world.stored_order(order_id)["history"]]


# --- ValidateOrder ----------------------------------------------------------------------------------------


def test_validation_prices_the_order_from_the_products(world: World) -> None:
    lamp, desk = world.product(price=1999), world.product(price=15000)
    order_id = world.order(world.user(), {lamp: 2, desk: 1})
    assert invoke_task("validate_order", order_id) == {
        "items": [
            {"productId": lamp, "quantity": 2, "title": "Lamp", "unitPrice": 1999},
            {"productId": desk, "quantity": 1, "title": "Lamp", "unitPrice": 15000},
        ],
        "total": 18998,
        "currency": "EUR",
    }


def test_an_order_of_an_unknown_user_is_rejected(world: World) -> None:
    order_id = world.order("nobody", {world.product(): 1})
    with pytest.raises(OrderRejected, match=r"^unknown_user"):
        invoke_task("validate_order", order_id)


def test_an_order_of_an_unknown_product_is_rejected(world: World) -> None:
    order_id = world.order(world.user(), {world.product(): 1, "ghost": 1})
    with pytest.raises(OrderRejected, match=r"^unknown_product: .*ghost$"):
        invoke_task("validate_order", order_id)


def test_an_order_keeps_the_prices_it_was_validated_with(world: World) -> None:
    product = world.product(price=100)
    order_id = world.validated_order({product: 1})
    world.api.patch(f"/products/{product}", {"price": 999})
    assert invoke_task("validate_order", order_id)["total"] == 100
    world.api.delete(f"/products/{product}")
    assert invoke_task("validate_order", order_id)["total"] == 100


def test_validation_of_an_earlier_attempt_is_superseded(world: World) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    world.set_order(order_id, attempt=2)
    with pytest.raises(Superseded):
        invoke_task("validate_order", order_id, 1)


# --- FulfillOrder -----------------------------------------------------------------------------------------


def test_fulfillment_takes_the_goods_and_names_the_shipment_after_the_order(world: World) -> None:
    lamp, desk = world.product(stock=5), world.product(stock=3)
    order_id = world.validated_order({lamp: 2, desk: 3})
    assert world.reserve(order_id) == {"shipmentId": f"shipment-{order_id}"}
    assert (world.stock(lamp), world.stock(desk)) == (3, 0)
    assert world.api.get(f"/products/{lamp}").body["version"] == 2


def test_fulfilling_twice_takes_the_goods_once_and_answers_the_same_shipment(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    assert world.reserve(order_id) == world.reserve(order_id)
    assert world.stock(product) == 3


def test_too_little_stock_of_one_product_rejects_the_order_and_takes_nothing(world: World) -> None:
    plenty, scarce = world.product(stock=5), world.product(stock=1)
    order_id = world.validated_order({plenty: 2, scarce: 2})
    with pytest.raises(
        OrderRejected, match=rf"^insufficient_stock: 2 of product {scarce} ordered, 1 in stock$"
    ):
        world.reserve(order_id)
    assert (world.stock(plenty), world.stock(scarce)) == (5, 1)


def test_a_product_that_is_gone_rejects_the_order(world: World) -> None:
    product = world.product()
    order_id = world.validated_order({product: 1})
    world.api.delete(f"/products/{product}")
    with pytest.raises(OrderRejected, match=r"^unknown_product"):
        world.reserve(order_id)


def test_an_order_that_holds_its_goods_is_not_rejected_when_nothing_is_left(world: World) -> None:
    product = world.product(stock=2)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    assert world.reserve(order_id) == {"shipmentId": f"shipment-{order_id}"}


def test_an_order_that_is_not_validated_is_not_reserved(world: World) -> None:
    product = world.product(stock=2)
    order_id = world.order(world.user(), {product: 1})
    with pytest.raises(Superseded):
        world.reserve(order_id)
    assert world.stock(product) == 2


# --- ReleaseOrder -----------------------------------------------------------------------------------------


def test_release_puts_the_goods_back_once(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    for _ in range(2):
        invoke_task("release_order", order_id)
        assert world.stock(product) == 5


def test_goods_that_were_released_are_not_reserved_again_by_the_same_attempt(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    world.reserve(order_id)
    invoke_task("release_order", order_id)
    with pytest.raises(Superseded):
        world.reserve(order_id)
    assert world.stock(product) == 5
    world.set_order(order_id, attempt=2)
    world.reserve(order_id, attempt=2)
    assert world.stock(product) == 3


def test_release_passes_over_a_product_that_is_gone(world: World) -> None:
    kept, gone = world.product(stock=5), world.product(stock=5)
    order_id = world.validated_order({kept: 2, gone: 1})
    world.reserve(order_id)
    world.api.delete(f"/products/{gone}")
    invoke_task("release_order", order_id)
    assert world.stock(kept) == 5
    assert world.stored_order(order_id)["reservation"]["state"] == "RELEASED"
    assert world.api.get(f"/products/{gone}").status == 404


def test_a_fulfilled_order_is_never_released(world: World) -> None:
    product = world.product(stock=5)
    order_id = world.validated_order({product: 2})
    shipment = world.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    with pytest.raises(Superseded):
        invoke_task("release_order", order_id)
    assert world.stock(product) == 3


def test_an_order_without_a_reservation_is_released_by_doing_nothing(world: World) -> None:
    invoke_task("release_order", world.validated_order({world.product(): 1}))


# --- Mark... ----------------------------------------------------------------------------------------------


def test_a_move_is_written_to_the_history_and_announced(world: World) -> None:
    order_id = world.validated_order({world.product(price=100): 2})
    order = world.stored_order(order_id)
    assert (order["status"], order["total"], statuses(world, order_id)) == (
        "VALIDATED",
        200,
        ["PENDING", "VALIDATED"],
    )
    (event,) = world.events()
    assert event["detail-type"] == "OrderValidated"
    assert event["detail"] == {
        "version": 1,
        "eventId": event["detail"]["eventId"],
        "orderId": order_id,
        "userId": order["userId"],
        "status": "VALIDATED",
        "previousStatus": "PENDING",
        "occurredAt": order["history"][1]["at"],
        "reason": None,
    }


def test_a_repeated_move_changes_nothing_and_is_announced_again_under_the_same_id(world: World) -> None:
    order_id = world.validated_order({world.product(): 1})
    before = world.stored_order(order_id)
    invoke_task(
        "update_order_status",
        order_id,
        status="VALIDATED",
        pricing={"items": [], "total": 0, "currency": "X"},
    )
    assert world.stored_order(order_id) == before
    first, second = world.events()
    assert first["detail"] == second["detail"]


def test_a_fulfilled_order_has_its_shipment_and_leaves_the_open_ones(world: World) -> None:
    order_id = world.validated_order({world.product(): 1})
    shipment = world.reserve(order_id)
    invoke_task("update_order_status", order_id, status="FULFILLED", shipment=shipment)
    order = world.stored_order(order_id)
    assert (order["status"], order["shipment"]) == ("FULFILLED", shipment)
    assert "openShard" not in order
    assert "openSince" not in order


@pytest.mark.parametrize("status", ["REJECTED", "FAILED"])
def test_an_order_that_holds_goods_can_only_be_fulfilled(world: World, status: str) -> None:
    order_id = world.validated_order({world.product(): 1})
    world.reserve(order_id)
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, status=status, reason="x")
    assert world.stored_order(order_id)["status"] == "VALIDATED"


def test_an_order_that_holds_no_goods_cannot_be_fulfilled(world: World) -> None:
    order_id = world.validated_order({world.product(): 1})
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, status="FULFILLED", shipment={"shipmentId": "s"})


def test_a_move_of_an_earlier_attempt_is_superseded_and_changes_nothing(world: World) -> None:
    order_id = world.validated_order({world.product(): 1})
    world.set_order(order_id, attempt=2)
    before = world.stored_order(order_id)
    with pytest.raises(Superseded):
        invoke_task("update_order_status", order_id, 1, status="REJECTED", reason="x")
    assert world.stored_order(order_id) == before


def test_a_move_of_a_cancelled_order_stops(world: World) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    world.api.post(f"/orders/{order_id}/cancel")
    with pytest.raises(OrderCancelled):
        invoke_task("update_order_status", order_id, status="REJECTED", reason="x")


def test_a_malformed_task_is_refused_before_anything_is_done(world: World) -> None:
    with pytest.raises(InvalidInput, match="attempt"):
        invoke_task("validate_order", "o-1", "one")  # type: ignore[arg-type]


def test_every_log_line_of_a_task_names_order_and_correlation(
    world: World, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    before = len(log_lines())
    invoke_task("validate_order", order_id)
    lines = log_lines()[before:]
    assert [(line["order_id"], line["correlation_id"]) for line in lines] == [(order_id, "cid-1")]


def test_metrics_count_a_rejection_by_its_reason(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    order_id = world.order(world.user(), {world.product(): 1})
    capsys.readouterr()
    invoke_task("update_order_status", order_id, status="REJECTED", reason="unknown_user: there is no user x")
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [(metric["OrdersRejected"], metric["reason"]) for metric in metrics] == [([1.0], "unknown_user")]
