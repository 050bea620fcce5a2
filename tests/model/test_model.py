"""Exhaustive models of the protocol around one order: every state of every scope is visited.

`python -m tests.model` prints how many. Each mend of a past hole is switched off once. Then the model must
find the hole.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager as Switch
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from msgspec import structs

from functions.shared.domain import moves
from functions.shared.domain.errors import FulfillmentRefused
from functions.shared.domain.orders import Fulfillment, OrderStatus
from functions.shared.persistence.dynamodb import UpdateExpression
from local.memory import state_machine as machine
from tests.model.explore import SCOPES, Scope, Violation, explore
from tests.model.world import Budget


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Writes no log: the functions run thousands of times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", SCOPES)
def test_no_course_loses_an_order_an_event_or_a_piece_of_stock(name: str) -> None:
    explored = explore(SCOPES[name])
    assert explored.ends
    assert explored.states > explored.ends


def _attempts_fence_nothing() -> Switch[object]:
    require_equal = UpdateExpression.require_equal

    def require(update: UpdateExpression, name: str, value: Any) -> UpdateExpression:
        return update if name == "attempt" else require_equal(update, name, value)

    return patch.object(UpdateExpression, "require_equal", require)


def _any_order_may_be_cancelled() -> Switch[object]:
    anything = moves.Conditions(stock=moves.StockRule.ANY)
    changed = {**moves.CONDITIONS, OrderStatus.CANCELLED: anything}
    return patch("functions.shared.persistence.orders.CONDITIONS", changed)


def _any_4xx_is_a_refusal() -> Switch[object]:
    from functions.shared import fulfillment_client as client

    read = client.read_reply

    def read_reply(reply: client.Reply) -> Any:
        if 400 <= reply.status < 500:
            raise FulfillmentRefused("a 4xx")
        return read(reply)

    return patch.object(client, "read_reply", read_reply)


def _a_task_that_ends_early_leaves_the_order_closed() -> Switch[object]:
    definition = copy.deepcopy(machine.definition())
    for state in definition["States"].values():
        for catcher in state.get("Catch", ()):
            if catcher["Next"] == "ReturnToOpenIndex":
                catcher["Next"] = "OrderUnfinished"
    return patch.object(machine, "definition", lambda: definition)


def _only_the_last_move_is_announced() -> Switch[object]:
    from functions.shared import lifecycle

    return patch.object(lifecycle, "recent_changes", lambda order: moves.recent_changes(order)[-1:])


def _a_final_move_owes_nothing() -> Switch[object]:
    from functions.shared.persistence.orders import OrderRepository

    move = OrderRepository.move
    return patch.object(OrderRepository, "move", lambda orders, made, **_: move(orders, made))


def _a_repeat_is_taken_for_another_request() -> Switch[object]:
    return patch("functions.shared.persistence.orders.was_repeated", lambda _error: False)


def _only_a_new_order_is_queued() -> Switch[object]:
    from functions.orders_api import placing
    from functions.shared.persistence.orders import OrderRepository

    create, send = OrderRepository.create, placing.send_if_pending
    found: list[Any] = []

    def note(orders: Any, order: Any) -> Any:
        found[:] = [create(orders, order)]
        return found[0]

    switches = ExitStack()
    switches.enter_context(patch.object(OrderRepository, "create", note))
    switches.enter_context(
        patch.object(placing, "send_if_pending", lambda *sent: None if found[0] else send(*sent))
    )
    return switches


def _the_order_names_no_system() -> Switch[object]:
    from functions.shared.persistence.reservations import Reservations

    reserve = Reservations.reserve

    def reserve_without_name(*arguments: Any, **options: Any) -> Any:
        order = reserve(*arguments, **options)
        if order is None or order.reservation is None:
            return order
        return structs.replace(order, reservation=structs.replace(order.reservation, handed_over_to=None))

    return patch.object(Reservations, "reserve", reserve_without_name)


def _any_if_match_replaces_the_stock() -> Switch[object]:
    from functions.shared.persistence.records import Records

    put = Records.put

    def put_all(records: Any, record_id: str, fields: Any, *, defaults: Any, **options: Any) -> Any:
        return put(records, record_id, {**fields, **defaults}, defaults={}, **options)

    return patch.object(Records, "put", put_all)


def _a_refused_repeat_is_another_writers() -> Switch[object]:
    return patch("functions.shared.persistence.order_items.own_first_try", lambda *_: None)


def _without_in_place(*arguments: Any, in_place: bool = False, **options: Any) -> Fulfillment:
    return Fulfillment(*arguments, **options)


def _shipping_in_place_ignores_other_systems() -> Switch[object]:
    return patch("functions.fulfill_order.fulfillment.Fulfillment", _without_in_place)


_CANCELLED_IN_PLACE = Scope(is_express=True, budget=Budget(faults=1, cancels=1))
_REFUSED_BY_A_PROXY = Scope(modes=("at once",), budget=Budget(faults=1, overlaps=1))
_PLACED = SCOPES["EXPRESS, placed by the client"]
_DIVERGED = SCOPES["EXPRESS in place, archived, messages twice"]
_REPLACED = Scope(modes=("at once",), systems=("a", "b"), budget=Budget(faults=1))
_REMOVED = SCOPES["the fulfillment system is removed"]
_RESTOCKED = Scope(is_express=True, budget=Budget(restocks=1))

# A switch, the scope, and what the model must find.
MENDS = [
    (_a_repeat_is_taken_for_another_request, _PLACED, "the client that placed the order is answered 200"),
    (_only_a_new_order_is_queued, _PLACED, "the order is accepted, and not sent"),
    (_any_4xx_is_a_refusal, _REFUSED_BY_A_PROXY, "the reservation is released, and a parcel is on its way"),
    (_the_order_names_no_system, _REPLACED, "several ship the order"),
    (_shipping_in_place_ignores_other_systems, _REMOVED, "several ship the order: ['a', 'the stack']"),
    (_only_the_last_move_is_announced, _DIVERGED, "events are missing: ['VALIDATED']"),
    (_only_the_last_move_is_announced, _CANCELLED_IN_PLACE, "events are missing: ['VALIDATED']"),
    (_any_if_match_replaces_the_stock, _RESTOCKED, "stock is lost"),
    (_a_final_move_owes_nothing, _CANCELLED_IN_PLACE, "events are missing: ['CANCELLED']"),
    (
        _a_task_that_ends_early_leaves_the_order_closed,
        _CANCELLED_IN_PLACE,
        "events are missing: ['FULFILLED']",
    ),
    (_a_refused_repeat_is_another_writers, SCOPES["EXPRESS in place"], "an attempt is used up"),
    (_attempts_fence_nothing, SCOPES["EXPRESS in place"], "an attempt is used up"),
    (_any_order_may_be_cancelled, _CANCELLED_IN_PLACE, "the conditions of CANCELLED do not hold"),
]


@pytest.mark.parametrize(("switch_off", "scope", "hole"), MENDS)
def test_the_model_finds_the_hole_when_its_mend_is_switched_off(
    switch_off: Any, scope: Scope, hole: str
) -> None:
    if scope not in SCOPES.values():
        explore(scope)
    with switch_off(), pytest.raises(Violation) as found:
        explore(scope)
    assert hole in str(found.value)
    assert "\nafter " in str(found.value)
