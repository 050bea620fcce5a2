"""Metrics of the moves that end an order's way through the workflow or the fulfillment system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from functions.shared.domain.orders import OrderStatus
from functions.shared.observability import emit

_COUNTS = {
    OrderStatus.FULFILLED: "OrdersFulfilled",
    OrderStatus.FAILED: "OrdersFailed",
    OrderStatus.CANCELLED: "OrdersCancelled",
}


def count_moves(moves: Iterable[OrderStatus], *, seconds: Mapping[str, float] | None = None) -> None:
    """Counts the moves to these statuses, with durations in seconds. Other statuses are not counted.

    For the one write that made the moves, not for its repeats: so each move is counted once.
    """
    counts = tuple(_COUNTS[status] for status in moves if status in _COUNTS)
    if counts:
        emit(counts=counts, seconds=seconds)
