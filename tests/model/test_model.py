"""Exhaustive models of the protocol around one order: every state of every scope is visited.

`python -m tests.model` prints how many. Each mend of a past hole is switched off once. Then the model must
find the hole.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager as Switch
from typing import Any
from unittest.mock import patch

import pytest

from functions.shared.domain import moves
from functions.shared.domain.errors import FulfillmentRefused
from functions.shared.domain.orders import OrderStatus
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


_CANCELLED_IN_PLACE = Scope(is_express=True, budget=Budget(faults=1, cancels=1))
_REFUSED_BY_A_PROXY = Scope(modes=("at once",), budget=Budget(faults=1, overlaps=1))
MENDS = [
    (_attempts_fence_nothing, SCOPES["EXPRESS in place"]),
    (_any_order_may_be_cancelled, _CANCELLED_IN_PLACE),
    (_any_4xx_is_a_refusal, _REFUSED_BY_A_PROXY),
    (_a_task_that_ends_early_leaves_the_order_closed, _CANCELLED_IN_PLACE),
    (_only_the_last_move_is_announced, _CANCELLED_IN_PLACE),
    (_a_final_move_owes_nothing, _CANCELLED_IN_PLACE),
]


@pytest.mark.parametrize(("switch_off", "scope"), MENDS, ids=lambda one: getattr(one, "__name__", ""))
def test_the_model_finds_the_hole_when_its_mend_is_switched_off(switch_off: Any, scope: Scope) -> None:
    explore(scope)
    with switch_off(), pytest.raises(Violation) as found:
        explore(scope)
    assert "\nafter " in str(found.value)
