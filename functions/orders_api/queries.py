"""The query parameters of the lists of orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from functions.shared.domain.errors import InvalidInput
from functions.shared.domain.orders import OrderStatus, Reference
from functions.shared.persistence.order_lists import OrderQuery

OF_USER = ("status", "from", "to")
OF_ALL_USERS = (*OF_USER, "reference")

ReadParameter = Callable[[str, Any], Any]
"""Returns a query parameter, by its name, as a type, or None. Raises `InvalidInput`."""


def order_query(parameter: ReadParameter, *, user_id: str | None, today: str) -> OrderQuery:
    """Returns the query of a request. `from` and `to` are days in UTC, both included.

    Raises `InvalidInput`, also for a day after `today` and for a `from` after `to`.
    """
    first, last = (_day(parameter, name, today) for name in ("from", "to"))
    if first is not None and last is not None and first > last:
        raise InvalidInput(f"{first} is after to: expected a day up to {last}", "from")
    return OrderQuery(
        user_id=user_id,
        reference=parameter("reference", Reference),
        status=parameter("status", OrderStatus),
        placed_from=None if first is None else first.isoformat(),
        placed_before=None if last is None else (last + timedelta(days=1)).isoformat(),
    )


def _day(parameter: ReadParameter, name: str, today: str) -> date | None:
    day: date | None = parameter(name, date)
    if day is not None and day.isoformat() > today:
        raise InvalidInput(f"{day} is in the future: expected a day up to {today} (UTC)", name)
    return day
