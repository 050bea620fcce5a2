"""Sends order events again, rebuilt from the orders, with the ids of their first publication."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.events import Event
from functions.shared.persistence.order_lists import OrderQuery
from ops.orders import NotQueued, each_order
from ops.stacks import OperatedStack

_BATCH = 10
# Seconds between two batches. The stack's own events use the same quota of PutEvents.
_PAUSE = 0.1


def find_events(
    stack: OperatedStack, *, first: str, before: str, placed_from: str, limit: int
) -> tuple[list[Event], bool]:
    """Return the events that occurred from `first` until `before`, and whether there are more than `limit`.

    The oldest come first. Reads all orders placed from `placed_from` until `before`. Raises botocore's
    errors.
    """
    orders = each_order(stack, OrderQuery(placed_from=placed_from, placed_before=before))
    events = (event for order in orders for event in stack.bus.past_events(order))
    wanted = (event for event in events if first <= event.detail.occurred_at < before)
    found = heapq.nsmallest(limit + 1, wanted, key=lambda event: event.detail.occurred_at)
    return found[:limit], len(found) > limit


def send_again(stack: OperatedStack, events: Sequence[Event], advance: Callable[[int], None]) -> None:
    """Send events in their order, at most 100 a second. Calls `advance` with the number of each batch.

    Raises `NotQueued` if the bus accepted only a part, and otherwise `DependencyUnavailable` and botocore's
    errors.
    """
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        if start:
            clock.pause(_PAUSE)
        try:
            stack.bus.send(batch)
        except (DependencyUnavailable, BotoCoreError, ClientError) as error:
            if not start:
                raise
            raise NotQueued(
                f"Only the first {start} of {len(events)} events were sent ({error}). "
                f"Run the command again with --from {batch[0].detail.occurred_at}."
            ) from error
        advance(len(batch))
