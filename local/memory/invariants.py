"""The invariants of the backend after any fault: stock, reservations, shipments, history, events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from functions.shared.domain.ids import basket_order_id, event_id_for
from functions.shared.domain.moves import LEGAL_MOVES, conditions_hold
from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus, ReturnStatus
from functions.shared.domain.shipping import by_product, held, pieces_of, refused, returned, shipped

if TYPE_CHECKING:
    from local.memory.backend import MemoryBackend


def check_invariants(backend: MemoryBackend) -> None:
    """Checks the invariants that hold at any time. Raises AssertionError."""
    cloud = backend.cloud
    assert not cloud.iam.denied
    orders = backend.orders()
    for order in orders.values():
        is_found = order.open_shard and order.due_at
        assert order.status not in UNFINISHED_STATUSES or is_found, f"lost: {order}"
        assert not order.unsent or is_found, f"an event is lost: {order}"
        _check_history(order)
        if order.status not in {OrderStatus.PENDING, OrderStatus.VALIDATED}:
            held_for_an_operator = order.status is OrderStatus.FAILED
            assert conditions_hold(order, order.status) or held_for_an_operator, order
    _check_stock(backend, orders)
    _check_shipments(backend, orders)
    _check_baskets(backend, orders)
    for reservations in cloud.reservations.values():
        states = [state for state, _ in reservations]
        assert states == ["HELD", "RELEASED"] * (len(states) // 2) + ["HELD"] * (len(states) % 2)
        held = [attempt for state, attempt in reservations if state == "HELD"]
        assert len(held) == len(set(held)), f"held twice by one attempt: {reservations}"


def check_final_state(backend: MemoryBackend, *, all_announced: bool = True) -> None:
    """Checks the invariants that hold once the backend is idle. Raises AssertionError.

    With `all_announced=False` events may be missing: an execution was stopped between a move and its event.
    """
    assert backend.unexpected_errors == []
    check_invariants(backend)
    orders = backend.orders()
    for order in orders.values():
        assert order.status not in UNFINISHED_STATUSES, order
        assert order.open_shard is None, order
        assert order.unsent == [], order
        if order.status is OrderStatus.FAILED and order.holds_stock:
            assert "is held" in (order.status_reason or ""), f"no reason for the held stock: {order}"
        if order.status in (OrderStatus.FULFILLED, OrderStatus.DELIVERED):
            _check_parcels(backend, order)
    _check_events(backend, orders, all_announced=all_announced)


def _check_history(order: Order) -> None:
    statuses = [entry.status for entry in order.history]
    assert statuses[0] is OrderStatus.PENDING
    assert statuses[-1] is order.status
    for before, after in pairwise(statuses):
        assert after in LEGAL_MOVES[before], order
    if order.total is not None:
        assert order.total == sum((line.unit_price or 0) * line.quantity for line in order.items)


def _check_parcels(backend: MemoryBackend, order: Order) -> None:
    """Checks that a shipped order has the parcels and refusals of the fulfillment system, and no others."""
    accepted = backend.cloud.partner.orders.get(order.order_id)
    if accepted is None:
        assert [one.shipment_id for one in order.shipments] == [f"shipment-{order.order_id}"], order
        return
    now = backend.seconds()
    parcels = {
        one.shipment_id: by_product(order, pieces_of(order, one))
        for one in order.shipments
        if not one.is_late
    }
    assert parcels == _quantities(accepted.current("shipments", now)), order
    refusals = {one.refusal_id: by_product(order, one.quantities) for one in order.refusals}
    refusals.pop("cancelled", None)
    assert refusals == _quantities(accepted.current("refusals", now)), order
    assert not any(held(order)), order


def _quantities(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {
        id_: {line["productId"]: line["quantity"] for line in body["lines"]} for id_, body in facts.items()
    }


def _check_stock(backend: MemoryBackend, orders: Mapping[str, Order]) -> None:
    """What was put in is in stock, held or shipped. What came back to stock was shipped before."""
    outside: Counter[str] = Counter()
    for order in orders.values():
        reserved, left, back = held(order), shipped(order), returned(order)
        for quantities in (reserved, left, refused(order), back):
            assert all(pieces >= 0 for pieces in quantities), order
        for line, gone, returning in zip(order.items, left, back, strict=True):
            assert returning <= gone <= line.quantity, order
        outside.update(by_product(order, reserved))
        outside.update(by_product(order, left))
        outside.subtract(by_product(order, returned(order, only_restocked=True)))
    has_late_parcel = any(one.is_late for order in orders.values() for one in order.shipments)
    for product, added in backend.pieces_added.items():
        item = backend.cloud.store.tables["products"].items.get(product)
        if item is None:
            continue
        on_hand = int(item["stock"]["N"])
        assert on_hand >= 0 or has_late_parcel, (product, on_hand)
        assert on_hand + outside[product] == added, (product, on_hand, outside, added)


def _check_shipments(backend: MemoryBackend, orders: Mapping[str, Order]) -> None:
    for order_id, contents in backend.cloud.partner.contents.items():
        order = orders[order_id]
        ordered = {line.product_id: line.quantity for line in order.items}
        assert all(pieces <= ordered[product] for product, pieces in contents.items())
        assert order.is_handed_over, f"shipped, but not held: {order}"


def _check_baskets(backend: MemoryBackend, orders: Mapping[str, Order]) -> None:
    """Each basket either still has its products, or became one order."""
    for basket in backend.baskets():
        assert basket.quantities.keys() == basket.added.keys()
        assert basket_order_id(basket.basket_id or "") not in orders, f"ordered, but not emptied: {basket}"
        if basket.last_order is not None:
            assert basket.last_order.order_id in orders, f"emptied, but not ordered: {basket}"


def _check_events(backend: MemoryBackend, orders: Mapping[str, Order], *, all_announced: bool) -> None:
    expected = {}
    for order in orders.values():
        for number, entry in enumerate(order.history):
            if entry.status in (OrderStatus.PENDING, OrderStatus.IN_FULFILLMENT):  # they have no event
                continue
            previous = order.history[number - 1].status
            event_id = event_id_for(order.order_id, number)
            expected[event_id] = (order.order_id, entry.status, previous, entry.at)
    details = [entry["Detail"] for entry in backend.cloud.events]
    moves = [detail for detail in details if "status" in detail]  # other events are of facts
    announced = {
        detail["eventId"]: (
            detail["orderId"],
            detail["status"],
            detail["previousStatus"],
            detail["occurredAt"],
        )
        for detail in moves
    }
    assert announced.items() <= expected.items()
    assert announced == expected or not all_announced
    owed = {
        event_id_for(order.order_id, fact): (order.order_id, fact)
        for order in orders.values()
        for fact in _facts(order)
    }
    facts = {detail["eventId"]: detail["orderId"] for detail in details if "status" not in detail}
    assert facts.items() <= {event_id: order_id for event_id, (order_id, _) in owed.items()}.items()
    assert facts.keys() == owed.keys() or not all_announced, owed
    contents = {json.dumps(detail, sort_keys=True) for detail in details}
    assert len(contents) == len({detail["eventId"] for detail in details})


def _facts(order: Order) -> list[str]:
    """Returns the names of the facts about an order that have an event and are no move."""
    # A parcel that was shipped at once has the event of its move.
    parcels = [f"shipment/{one.shipment_id}" for one in order.shipments if one.quantities is not None]
    received = [f"return/{one.return_id}" for one in order.returns if one.status is ReturnStatus.RECEIVED]
    return [*parcels, *received, *(["cancellation"] if order.cancel_requested_at else [])]
