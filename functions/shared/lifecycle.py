"""Moving an order and telling the world about it, so that neither is forgotten when the other fails."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.domain.orders import Move, Order, StatusChange, recent_changes
from functions.shared.events import DETAIL_TYPES, EventBus
from functions.shared.observability import logger
from functions.shared.persistence.orders import OrderRepository

_NOT_SENT = (DependencyUnavailable, ClientError, BotoCoreError)


class OrderLifecycle:
    """The only way in which code changes an order's status."""

    def __init__(self, orders: OrderRepository, events: EventBus) -> None:
        self._orders = orders
        self._events = events

    def advance(self, move: Move) -> Order:
        """Make a move on behalf of the state machine, which retries when this fails.

        When the bus does not take the event, a final order goes back into the index of open ones, so that the
        requeue sends it should the machine's retries end. Raises what `OrderRepository.move` and
        `EventBus.announce` raise.
        """
        order = self._orders.move(move)
        try:
            self._announce(order, [change for change in recent_changes(order) if change.status is move.to])
        except _NOT_SENT:
            if not order.is_open:
                self._orders.add_to_open_index(order, clock.now())
            raise
        return order

    def make_final_move(self, move: Move) -> Order:
        """Make a final move for which nobody stands behind to retry (a client's cancel, the requeue).

        The order stays in the index of open ones until its event is out; if that fails here the move stands
        all the same, and the requeue finishes it. Raises what `OrderRepository.move` raises.
        """
        order = self._orders.move(move, stay_open=True)
        try:
            self.finish(order)
        except _NOT_SENT as error:
            logger.warning("event not sent, left to the requeue", exc_info=error)
        return order

    def finish(self, order: Order) -> None:
        """Announce a final order (again) and take it out of the index of open ones.

        All its moves are announced: nobody may have heard of an earlier one, when the workflow was cut off
        behind it. Raises what `EventBus.announce` raises, and then changes nothing.
        """
        self._announce(order, recent_changes(order))
        self._orders.remove_from_open_index(order.order_id)

    def retry(self, order: Order) -> Order:
        """Put a failed order back to PENDING for an operator, who then sends it to the queue.

        Raises what `finish` and `OrderRepository.retry` raise.
        """
        if not order.is_open:
            # Whoever failed it may have been cut off before its event was out, and nobody would send it now.
            self.finish(order)
        return self._orders.retry(order, at=clock.now())

    def _announce(self, order: Order, changes: Sequence[StatusChange]) -> None:
        announced = [change for change in changes if change.status in DETAIL_TYPES]
        if announced:
            self._events.announce(order, announced)
