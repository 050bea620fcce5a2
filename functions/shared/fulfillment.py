"""The fulfillment system that the stack is configured with, if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from functions.shared.environment import optional
from functions.shared.observability import logger

if TYPE_CHECKING:
    from functions.shared.fulfillment_client import FulfillmentClient


def open_fulfillment_system() -> FulfillmentClient | None:
    """Returns the client of the configured fulfillment system, or None."""
    if optional("FULFILLMENT_URL") is None:
        return None
    from functions.shared import fulfillment_client  # imported only if needed, because it costs a cold start

    return fulfillment_client.open_client()


def log_contradictions(contradictions: Sequence[str]) -> None:
    """Logs reports that contradict an order. The fulfillment system's developers must correct them."""
    for contradiction in contradictions:
        logger.error("a report of the fulfillment system contradicts the order", reason=contradiction)
