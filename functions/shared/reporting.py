"""Records reports on orders and publishes their events."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from functions.shared import clock
from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import Order
from functions.shared.domain.shipping import Recorded
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.outcomes import count_moves
from functions.shared.persistence.reports import Reports

# If the event is not sent by then, the requeue sends it.
_EVENT_DUE_MINUTES = 10


class Reporting:
    """Records reports of all senders."""

    def __init__(self, reports: Reports, lifecycle: OrderLifecycle, *, overdue_hours: int = 0) -> None:
        """`overdue_hours` is how long a fulfillment system may be silent; 0 without one."""
        self._reports = reports
        self._lifecycle = lifecycle
        self._overdue_hours = overdue_hours

    def record(
        self, order_id: str, decide: Callable[[Order], Recorded], *, at: str, due_at: str | None = None
    ) -> Recorded:
        """Changes an order as `decide` says, counts its moves, and publishes what follows from it.

        An order in fulfillment is due again at `due_at`, or after the system's silence. If a client asked to
        cancel it, it is due at once. A repeat publishes what an earlier try could not. If the bus does not
        take an event, the requeue publishes it. Raises what `Reports.record` raises.
        """
        silence = clock.minutes_after(at, 60 * self._overdue_hours)
        recorded = self._reports.record(
            order_id,
            decide,
            due_at=clock.minutes_after(at, _EVENT_DUE_MINUTES),
            quiet_due_at=due_at or silence,
        )
        count_moves(recorded.moves)
        next_owed = owed(msgspec.structs.replace(recorded.order, unsent=[]))
        if due_at is None and next_owed is not Obligation.ATTEMPT:  # an attempt must not wait that long
            due_at = at if next_owed is Obligation.CANCELLATION else silence
        self._lifecycle.publish_owed(recorded.order, due_at=due_at)
        return recorded
