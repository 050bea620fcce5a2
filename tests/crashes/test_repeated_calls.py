"""A call is repeated, because its answer was lost or it met a transaction: nothing changes for the client.

A call that botocore repeats after a lost answer meets its own first write. Each case runs without a fault,
and again with each fault at each call. Answers, messages, events, metrics and stored items must be equal.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook
from local.memory.faults import FAULTS, FaultAt, faults_of
from local.memory.functions import HttpAnswer
from tests.crashes import actions
from tests.crashes.actions import Action
from tests.observability.emitted import emitted_in

CASES = (
    *(actions.post_user, actions.put_user, actions.put_user_if_new),
    *(actions.patch_user, actions.patch_user_if_match),
    *(actions.delete_user, actions.delete_user_if_match),
    *(actions.put_product, actions.replace_product, actions.replace_product_if_match),
    *(
        actions.change_stock,
        actions.post_product,
        actions.patch_product,
        actions.patch_stock,
        actions.delete_product,
    ),
    *(actions.post_order, actions.post_order_with_key, actions.cancel_order),
    *(actions.put_first_basket_item, actions.put_basket_item, actions.put_basket_item_if_match),
    *(actions.put_item_into_expired_basket, actions.delete_basket_item, actions.clear_basket),
    *(actions.check_out, actions.check_out_if_match, actions.check_out_again),
    *(actions.validate, actions.mark_validated, actions.fulfill, actions.release, actions.mark_failed),
    *(actions.requeue, actions.give_up, actions.retry),
)

# The state machine repeats a task whose own transaction met another one.
CONTENTION = ("transaction conflict", "TransactWriteItems")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("fault", ["answer cut off once", "transaction conflict"])
def test_a_repeated_call_changes_nothing_for_the_client(
    case: Callable[[MemoryBackend], Action], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = FaultAt()
    expected = _effects(case, listing, capsys)
    assert listing.calls
    for number, call in enumerate(listing.calls):
        if fault not in faults_of(call) or (fault, call.operation) == CONTENTION:
            continue
        found = _effects(case, FaultAt(number, FAULTS[fault]), capsys)
        if call.service == "sqs":  # a message may be sent twice; the attempt in it makes that harmless
            found["messages"] = _without_repeats(found["messages"])
        if call.service == "events":  # an event may be sent twice, under one id
            found["events"] = _without_repeats(found["events"])
        assert found == expected, call


def _effects(
    case: Callable[[MemoryBackend], Action], hook: Hook, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Everything that an action changes or returns. Ids and times are the same in each run."""
    backend, numbers = MemoryBackend(), count(1)
    with installed(backend), patch("uuid.uuid4", lambda: uuid.UUID(int=next(numbers))):
        action = case(backend)
        capsys.readouterr()
        backend.take_events()
        with backend.hooked(hook):
            answer = action()
    return {
        "answer": (answer.status, answer.body) if isinstance(answer, HttpAnswer) else answer,
        "messages": backend.take_messages(),
        "events": backend.take_events(),
        "metrics": [metric.name for metric in emitted_in(capsys.readouterr().out)],
        "items": {name: list(table.items.values()) for name, table in backend.cloud.store.tables.items()},
    }


def _without_repeats(found: list[Any]) -> list[Any]:
    return [entry for number, entry in enumerate(found) if entry not in found[:number]]
