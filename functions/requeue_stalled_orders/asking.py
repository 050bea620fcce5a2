"""Asks the fulfillment system about orders that it has: for their parcels, or to cancel them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from functions.shared import clock
from functions.shared.domain.errors import FulfillmentRefused, FulfillmentUnavailable
from functions.shared.domain.orders import Order, OrderStatus
from functions.shared.domain.shipping import (
    Recorded,
    RefusalReport,
    ReportedLine,
    Word,
    by_product,
    held,
    record_cancellation,
    record_refusal,
    record_word,
)
from functions.shared.fulfillment import log_contradictions
from functions.shared.observability import logger
from functions.shared.persistence.orders import OrderRepository
from functions.shared.reporting import Reporting

if TYPE_CHECKING:
    from functions.shared.fulfillment_client import FulfillmentClient

# After so many requests without an answer, a run asks no more: the system is down, and others wait.
_MOST_FAILURES = 3
# An order without an answer is asked about again after this.
_RETRY_MINUTES = 15


class Asking:
    """Asks one fulfillment system, in one run."""

    def __init__(
        self,
        system: FulfillmentClient,
        orders: OrderRepository,
        reporting: Reporting,
        *,
        overdue_hours: int,
        correlation_id: str,
    ) -> None:
        self._system = system
        self._orders = orders
        self._reporting = reporting
        self._overdue_minutes = 60 * overdue_hours
        self._correlation_id = correlation_id
        self._failures = 0

    def for_word(self, order: Order) -> bool:
        """Sends the order again, and records what is shipped by now. Returns whether there was an answer.

        The system was silent for `overdue_hours`, or its calls were lost. The request is idempotent.
        """
        if not self._may_ask(order):
            return False
        at = clock.now()
        try:
            word = self._ship(order)
        except FulfillmentRefused as refusal:
            return self._record_refused(order, str(refusal), at)
        except FulfillmentUnavailable as error:
            return self._try_later(order, error)
        recorded = self._reporting.record(order.order_id, partial(record_word, word=word, at=at), at=at)
        log_contradictions(recorded.contradictions)
        if not recorded.is_changed:
            self._orders.open_index.postpone(order, clock.minutes_after(at, self._overdue_minutes))
        return True

    def to_cancel(self, order: Order) -> bool:
        """Asks whether an order can be cancelled, and records the answer. Returns whether there was one.

        A system that agreed ships nothing more. What it shipped before is asked for then, because the report
        of a parcel may be lost.
        """
        if not self._may_ask(order):
            return False
        word = None
        try:
            agreed = self._system.cancel(order.order_id, order.attempt, correlation_id=self._correlation_id)
            if agreed:
                with suppress(FulfillmentRefused):  # nothing was shipped
                    word = self._ship(order)
        except FulfillmentUnavailable as error:
            return self._try_later(order, error)
        at = clock.now()
        decide = partial(record_cancellation, agreed=agreed, at=at, word=word)
        recorded = self._reporting.record(order.order_id, decide, at=at)
        log_contradictions(recorded.contradictions)
        return True

    def _ship(self, order: Order) -> Word:
        return self._system.ship(
            order.order_id, order.attempt, order.items, content=order, correlation_id=self._correlation_id
        )

    def _may_ask(self, order: Order) -> bool:
        if order.handed_over_to != self._system.name:
            logger.error("another fulfillment system has this order", handed_over_to=order.handed_over_to)
            self._orders.open_index.postpone(order, clock.minutes_after(clock.now(), self._overdue_minutes))
            return False
        return self._failures < _MOST_FAILURES

    def _try_later(self, order: Order, error: FulfillmentUnavailable) -> bool:
        self._failures += 1
        logger.warning("no answer about an order in fulfillment", reason=str(error))
        self._orders.open_index.postpone(order, clock.minutes_after(clock.now(), _RETRY_MINUTES))
        return False

    def _record_refused(self, order: Order, reason: str, at: str) -> bool:
        """Records that nothing more of an order will be shipped."""

        def decide(now: Order) -> Recorded:
            if now.status is not OrderStatus.IN_FULFILLMENT:
                return Recorded(now)
            if now.waits_for_cancellation:
                # It may have agreed to another request, whose answer was lost.
                return record_cancellation(now, agreed=True, at=at)
            left = by_product(now, held(now)).items()
            lines = [ReportedLine(product, pieces) for product, pieces in left]
            return record_refusal(now, "refused", RefusalReport(lines=lines, reason=reason[:200]), at=at)

        self._reporting.record(order.order_id, decide, at=at)
        return True
