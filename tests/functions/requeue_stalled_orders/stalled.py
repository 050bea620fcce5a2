"""A stalled order, and a run of the schedule over all of them."""

from __future__ import annotations

from typing import Any

from local.memory.backend import MemoryBackend
from local.memory.functions import invoke

LONG_AGO = "2026-01-01T00:00:00.000Z"


def requeue(context: Any = None) -> Any:
    """Run the schedule once; only what it did something about is answered."""
    report = invoke("requeue_stalled_orders", {}, context)
    return {outcome: count for outcome, count in report.items() if count}


def stalled_order(
    backend: MemoryBackend, *, validated: bool = False, attempt: int = 1, **attributes: object
) -> str:
    """An order that is open for long; its first message is gone."""
    quantities = {backend.create_product(stock=5): 2}
    order_id = (
        backend.create_validated_order(quantities)
        if validated
        else backend.create_order(backend.create_user(), quantities)
    )
    backend.take_messages()
    backend.take_events()
    backend.set_order(order_id, openSince=LONG_AGO, attempt=attempt, **attributes)
    return order_id
