"""Creates stalled orders and runs the requeue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.memory.backend import MemoryBackend
from local.memory.functions import invoke

LONG_AGO = "2026-01-01T00:00:00.000Z"


def requeue(context: Any = None, *, event: Mapping[str, Any] | None = None) -> Any:
    """Run the requeue once. Returns the outcomes with a count above 0."""
    report = invoke("requeue_stalled_orders", event or {}, context)
    return {outcome: count for outcome, count in report.items() if count}


def stalled_order(
    backend: MemoryBackend, *, validated: bool = False, attempt: int = 1, **attributes: object
) -> str:
    """Stores an order that is open for long and has no message in the queue. Returns its id."""
    quantities = {backend.create_product(stock=5): 2}
    order_id = (
        backend.create_validated_order(quantities)
        if validated
        else backend.create_order(backend.create_user(), quantities)
    )
    backend.take_messages()
    backend.take_events()
    backend.set_order(order_id, dueAt=LONG_AGO, attempt=attempt, **attributes)
    return order_id
