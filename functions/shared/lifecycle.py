"""Changes an order's status and publishes the matching event. A failed publish is retried by the requeue."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import clock
from functions.shared.domain.errors import DependencyUnavailable
from functions.shared.domain.moves import Move, MoveResult, recent_changes
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.events import EventBus
from functions.shared.observability import logger
from functions.shared.persistence.orders import OrderRepository

_NOT_SENT = (DependencyUnavailable, ClientError, BotoCoreError)


class OrderLifecycle:
    """Changes the status of orders, with their events."""

    def __init__(self, orders: OrderRepository, events: EventBus) -> None:
        self._orders = orders
        self._events = events

    def advance(self, move: Move) -> MoveResult:
        """Makes a move for the state machine, which retries when this fails.

        If its retries end before the event is published, the machine returns a final order to the open
        index, and the requeue publishes it. Raises what `OrderRepository.move` and `EventBus.announce` raise.
        """
        result = self._orders.move(move)
        order = result.order
        changes = recent_changes(order)
        # An execution that fulfills an order announced its validation itself. Another final move may follow a
        # move of a second EXPRESS execution of the attempt, which was cut off before it announced that move.
        if move.to in (OrderStatus.IN_FULFILLMENT, OrderStatus.FULFILLED):
            changes = [change for change in changes if change.status is move.to]
        self._events.announce(order, changes)
        if order.unsent:
            # A report that FulfillOrder got came with the move.
            self._orders.open_index.record_sent(order, due_at=move.due_at)
        return result

    def publish_owed(self, order: Order, *, due_at: str | None) -> None:
        """Publishes the events that reports on an order owe, after which it is due at `due_at`.

        If that fails, the order stays in the open index, and the requeue publishes them.
        """
        if not order.unsent:
            return
        try:
            self._events.announce(order, ())
        except _NOT_SENT as error:
            logger.warning("event not sent, left to the requeue", exc_info=error)
            return
        self._orders.open_index.record_sent(order, due_at=due_at)

    def make_final_move(self, move: Move) -> MoveResult:
        """Makes a final move for callers that do not retry: a client's cancel, or the requeue.

        The order stays in the index of open orders until its event is published. If that fails here, the move
        remains, and the requeue publishes it. Raises what `OrderRepository.move` raises.
        """
        result = self._orders.move(move, stay_open=True)
        try:
            self.finish(result.order)
        except _NOT_SENT as error:
            logger.warning("event not sent, left to the requeue", exc_info=error)
        return result

    def finish(self, order: Order) -> None:
        """Publishes a final order's events (again) and removes it from the index of open orders.

        Publishes all its recent moves: a workflow that was cut off may have skipped an earlier one. Raises
        what `EventBus.announce` raises, and then changes nothing.
        """
        self._events.announce(order, recent_changes(order))
        if order.due_at is not None or order.unsent:
            self._orders.open_index.record_sent(order, due_at=None)

    def retry(self, order: Order, *, stalled_after_minutes: int) -> Order:
        """Puts a failed order back to PENDING for an operator, who then sends it to the queue.

        Raises what `finish` and `OrderRepository.retry` raise.
        """
        if not order.is_open:
            # The event of the failure may be missing, and no later step would publish it.
            self.finish(order)
        at = clock.now()
        return self._orders.retry(order, at=at, due_at=clock.minutes_after(at, stalled_after_minutes))
