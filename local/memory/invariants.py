"""The invariants of the backend after any fault: stock, reservations, shipments, history, events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from functions.shared.domain.ids import basket_order_id, event_id_for
from functions.shared.domain.moves import LEGAL_MOVES, conditions_hold
from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus, ReturnStatus
from functions.shared.domain.shipping import by_product, held, returned, shipped

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
        _check_lines(order)
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
        if order.status is OrderStatus.FAILED and order.holds_stock:
            assert "is held" in (order.status_reason or ""), f"no reason for the held stock: {order}"
        if order.status in {OrderStatus.FULFILLED, OrderStatus.DELIVERED}:
            sent = backend.cloud.partner.contents.get(order.order_id)
            assert sent is None or by_product(order, shipped(order)) == sent, order
            ids = [shipment.shipment_id for shipment in order.shipments]
            assert sent is not None or ids == [f"shipment-{order.order_id}"], order
    _check_events(backend, orders, all_announced=all_announced)


def _check_history(order: Order) -> None:
    statuses = [entry.status for entry in order.history]
    assert statuses[0] is OrderStatus.PENDING
    assert statuses[-1] is order.status
    for before, after in pairwise(statuses):
        assert after in LEGAL_MOVES[before], order
    if order.total is not None:
        assert order.total == sum((line.unit_price or 0) * line.quantity for line in order.items)


def _check_stock(backend: MemoryBackend, orders: Mapping[str, Order]) -> None:
    for product, added in backend.pieces_added.items():
        item = backend.cloud.store.tables["products"].items.get(product)
        if item is None:
            continue
        on_hand = int(item["stock"]["N"])
        reserved, gone, back = (
            sum(by_product(order, quantities(order)).get(product, 0) for order in orders.values())
            for quantities in (held, shipped, partial(returned, only_restocked=True))
        )
        assert on_hand >= 0 or any(one.is_late for order in orders.values() for one in order.shipments)
        balance = (product, on_hand, reserved, gone, back)
        assert on_hand + reserved + gone - back == added, balance


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


def _check_lines(order: Order) -> None:
    """Checks that no piece of a line is in two places."""
    lines = zip(order.items, held(order), shipped(order), returned(order), strict=True)
    for line, reserved, gone, back in lines:
        assert 0 <= reserved <= line.quantity, order
        assert reserved + gone <= line.quantity, order
        assert back <= gone, order


def _events_of_facts(order: Order) -> Iterator[str]:
    """Yields the ids of the events that reports on an order lead to."""
    for shipment in order.shipments:
        if shipment.quantities is not None:
            yield event_id_for(order.order_id, f"shipment/{shipment.shipment_id}")
    for one in order.returns:
        if one.status is ReturnStatus.RECEIVED:
            yield event_id_for(order.order_id, f"return/{one.return_id}")
    if order.cancel_requested_at is not None:
        yield event_id_for(order.order_id, "cancellation")


def _check_events(backend: MemoryBackend, orders: Mapping[str, Order], *, all_announced: bool) -> None:
    expected = {}
    for order in orders.values():
        for number, entry in enumerate(order.history):
            if entry.status in {OrderStatus.PENDING, OrderStatus.IN_FULFILLMENT}:
                continue
            previous = order.history[number - 1].status
            event_id = event_id_for(order.order_id, number)
            expected[event_id] = (order.order_id, entry.status, previous, entry.at)
    all_details = [entry["Detail"] for entry in backend.cloud.events]
    facts = {detail["eventId"] for detail in all_details if "status" not in detail}
    assert facts == {event_id for order in orders.values() for event_id in _events_of_facts(order)}
    details = [detail for detail in all_details if "status" in detail]
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
    contents = {json.dumps(detail, sort_keys=True) for detail in details}
    assert len(contents) == len({detail["eventId"] for detail in details})
