"""Processes the orders that are in the index of open orders for too long."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

from functions.requeue_stalled_orders.asking import Asking
from functions.requeue_stalled_orders.executions import IsRunning
from functions.shared import clock
from functions.shared.domain.errors import OrderCancelled, Superseded
from functions.shared.domain.moves import Move
from functions.shared.domain.obligations import Obligation, owed
from functions.shared.domain.orders import UNFINISHED_STATUSES, Order, OrderStatus
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import logger
from functions.shared.order_queue import MAX_BATCH, OrderMessage, OrderQueue
from functions.shared.persistence.dynamodb import Item
from functions.shared.persistence.open_index import OPEN_SHARDS
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations

_PAGE = 100


class Outcome(StrEnum):
    """The result of processing one order of the index."""

    REQUEUED = "requeued"  # its next attempt is on the queue
    EXHAUSTED = "exhausted"  # its attempts are used up: FAILED
    FINISHED = "finished"  # it was final; its event was published again
    RUNNING = "running"  # its execution runs: unchanged
    MOVED_ON = "movedOn"  # another writer changed it: unchanged
    ANSWERED = "answered"  # the fulfillment system was silent too long, and answered about it
    CANCEL_ANSWERED = "cancelAnswered"  # the fulfillment system answered a request to cancel
    UNANSWERED = "unanswered"  # the fulfillment system was not asked, or did not answer
    WAITING = "waiting"  # the queue is behind: unchanged
    FAILED = "failed"  # something went wrong; it stays in the index for the next run


class Requeue:
    """One run over all shards of the index.

    Every change requires the attempt that was read. So a run may stop anywhere, run twice, or run at the same
    time as a workflow.
    """

    def __init__(
        self,
        *,
        orders: OrderRepository,
        reservations: Reservations,
        queue: OrderQueue,
        lifecycle: OrderLifecycle,
        is_running: IsRunning,
        max_attempts: int,
        stalled_after_minutes: int,
        correlation_id: str,
        asking: Asking | None,
    ) -> None:
        """`asking` is there with a fulfillment system."""
        self._orders = orders
        self._reservations = reservations
        self._queue = queue
        self._lifecycle = lifecycle
        self._is_running = is_running
        self._max_attempts = max_attempts
        self._stalled_after_minutes = stalled_after_minutes
        self._correlation_id = correlation_id
        self._asking = asking
        # One entry per kind of obligation.
        self._handlers: Mapping[Obligation, Callable[[Order], Outcome | None]] = {
            Obligation.EVENT: self._publish,
            Obligation.ATTEMPT: self._give_attempt,
            Obligation.CANCELLATION: self._ask_to_cancel,
            Obligation.WORD: self._ask_for_word,
        }
        self._unsent: list[OrderMessage] = []
        self.outcomes: Counter[Outcome] = Counter()

    def run(self, now: str, has_time: Callable[[], bool], *, gives_attempts: bool) -> bool:
        """Processes every order of the index that is due, the earliest of each shard first.

        Without `gives_attempts` no order is requeued.
        Returns False if time ran out before all orders were processed. Raises botocore's errors when the
        index cannot be read or the queue takes nothing. It stops at once then, because each order that is not
        sent uses up an attempt. `outcomes` is complete in every case.
        """
        # One page of each shard in turn, so that no shard waits for the end of another.
        pages: deque[tuple[str, Item | None]] = deque((shard, None) for shard in OPEN_SHARDS)
        while pages:
            shard, start = pages.popleft()
            entries, following = self._orders.open_index.list(shard, now, _PAGE, start)
            for entry in entries:
                if not has_time():
                    self._send()
                    return False
                process = partial(self._continue_order, now=now, gives_attempts=gives_attempts)
                self._process_order(entry.order_id, process)
            if following is not None:
                pages.append((shard, following))
        self._send()
        return True

    def ask_to_cancel(self, order_id: str) -> None:
        """Asks the fulfillment system to cancel one order, if a client waits for that. Adds to `outcomes`.

        The order may not be in the index yet, and its event may still be unsent.
        """
        self._process_order(
            order_id,
            lambda order: self._ask_to_cancel(order) if order.waits_for_cancellation else Outcome.MOVED_ON,
        )

    def _process_order(self, order_id: str, process: Callable[[Order], Outcome | None]) -> None:
        with logger.append_context_keys(order_id=order_id):
            try:
                outcome = process(self._orders.get(order_id))
            except (Superseded, OrderCancelled):
                outcome = Outcome.MOVED_ON
            except Exception:  # noqa: BLE001
                # One order's error must not stop the others.
                logger.exception("stalled order not processed")
                outcome = Outcome.FAILED
        if outcome is not None:
            self.outcomes[outcome] += 1
        if len(self._unsent) == MAX_BATCH:
            self._send()

    def _continue_order(self, order: Order, *, now: str, gives_attempts: bool) -> Outcome | None:
        """Returns the outcome, or None for an order that is about to be sent."""
        obligation = owed(order)
        if obligation is None or (order.due_at or now) > now:
            return Outcome.MOVED_ON  # the index lags behind
        if obligation is Obligation.ATTEMPT and not gives_attempts:
            return Outcome.WAITING
        return self._handlers[obligation](order)

    def _publish(self, order: Order) -> Outcome:
        if order.status in UNFINISHED_STATUSES:
            self._lifecycle.publish_owed(order, due_at=None)  # still due: the next run does what else is owed
        else:
            self._lifecycle.finish(order)
        return Outcome.FINISHED

    def _ask_for_word(self, order: Order) -> Outcome:
        answered = self._asking is not None and self._asking.for_word(order)
        return Outcome.ANSWERED if answered else Outcome.UNANSWERED

    def _ask_to_cancel(self, order: Order) -> Outcome:
        answered = self._asking is not None and self._asking.to_cancel(order)
        return Outcome.CANCEL_ANSWERED if answered else Outcome.UNANSWERED

    def _give_attempt(self, order: Order) -> Outcome | None:
        if self._is_running(self._message(order)):
            return Outcome.RUNNING
        is_last = order.attempts_used >= self._max_attempts
        at = clock.now()
        due_at = clock.minutes_after(at, self._stalled_after_minutes)
        order = self._orders.begin_attempt(order, at=at, due_at=due_at)
        if is_last:
            self._give_up(order)
            return Outcome.EXHAUSTED
        self._unsent.append(self._message(order))
        return None

    def _give_up(self, order: Order) -> None:
        """Fails the order under a new attempt.

        No message is sent for that attempt, so no execution can change the order.
        """
        reason = f"attempts_used_up: {order.attempts_used - 1} attempts did not finish"
        if order.is_handed_over:
            reason += "; the reservation is held, because the fulfillment system may have shipped the order"
        elif order.holds_stock:
            self._reservations.release(order, at=clock.now(), even_if_handed_over=False)
        logger.error("order failed: its attempts are used up", handed_over_to=order.handed_over_to)
        self._lifecycle.make_final_move(
            Move(
                order_id=order.order_id,
                to=OrderStatus.FAILED,
                at=clock.now(),
                attempt=order.attempt,
                reason=reason,
            )
        )

    def _send(self) -> None:
        messages, self._unsent = self._unsent, []
        if not messages:
            return
        refused = self._queue.send_all(messages)
        for message in refused:
            logger.error("the queue did not take the order", order_id=message.order_id)
        self.outcomes[Outcome.FAILED] += len(refused)
        self.outcomes[Outcome.REQUEUED] += len(messages) - len(refused)

    def _message(self, order: Order) -> OrderMessage:
        return OrderMessage(
            order_id=order.order_id, attempt=order.attempt, correlation_id=self._correlation_id
        )
