"""The query parameters of the lists of orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from functions.shared.domain.orders import OrderStatus, Reference
from functions.shared.persistence.order_lists import OrderQuery, placed_between

OF_USER = ("status", "from", "to")
OF_ALL_USERS = (*OF_USER, "reference")

ReadParameter = Callable[[str, Any], Any]
"""Returns a query parameter, by its name, as a type, or None. Raises `InvalidInput`."""


def order_query(parameter: ReadParameter, *, user_id: str | None, today: str) -> OrderQuery:
    """Returns the query of a request. Raises `InvalidInput`."""
    return OrderQuery(
        user_id=user_id,
        reference=parameter("reference", Reference),
        status=parameter("status", OrderStatus),
        **placed_between(parameter("from", date), parameter("to", date), today=today),
    )
