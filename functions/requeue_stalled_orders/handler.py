"""Invoked by a schedule: processes every stalled order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from functions.requeue_stalled_orders.backlog import Backlog
from functions.requeue_stalled_orders.executions import Executions, never_running
from functions.requeue_stalled_orders.requeue import Outcome, Requeue
from functions.shared import aws, clock, deadline
from functions.shared.environment import required
from functions.shared.events import EventBus, announces_placed_orders
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import emit, logger
from functions.shared.order_queue import OrderQueue
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations

# Milliseconds that must be left to process another order. They are enough for it and for the last batch of
# messages, even if every call reaches its timeout.
_RESERVE = 20_000

_stalled_after_minutes = int(required("STALLED_AFTER_MINUTES"))
_max_attempts = int(required("MAX_ATTEMPTS"))
_dynamodb = aws.client("dynamodb")
_orders = OrderRepository(_dynamodb, required("ORDERS_TABLE"))
_reservations = Reservations(_dynamodb, required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))
_queue = OrderQueue(aws.client("sqs"), required("ORDERS_QUEUE_URL"))
_lifecycle = OrderLifecycle(
    _orders,
    EventBus(
        lambda: aws.client("events"), required("EVENT_BUS_NAME"), announces_placed=announces_placed_orders()
    ),
)
_backlog = Backlog(aws.client("cloudwatch"), required("ORDERS_QUEUE_URL"))
_is_running = (
    never_running
    if required("WORKFLOW_TYPE") == "EXPRESS"
    else Executions(aws.client("stepfunctions"), required("STATE_MACHINE_ARN")).is_running
)


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(_event: object, context: Any) -> dict[str, Any]:
    """Processes stalled orders. Returns the number of orders per outcome, and whether all were processed.

    Does nothing while the oldest message of the queue is as old as a stalled order. The orders on the queue
    must not use up attempts.
    """
    deadline.start(context)
    at = clock.now()
    age = _backlog.age(at)
    if age >= _stalled_after_minutes * 60:
        logger.warning("the queue is behind, no order is requeued", oldest_message_seconds=age)
        _measure(Counter())  # otherwise the alarm on a missing schedule would start
        return {"skipped": True}
    requeue = Requeue(
        orders=_orders,
        reservations=_reservations,
        queue=_queue,
        lifecycle=_lifecycle,
        is_running=_is_running,
        max_attempts=_max_attempts,
        stalled_after_minutes=_stalled_after_minutes,
        correlation_id=context.aws_request_id,
    )
    try:
        is_complete = requeue.run(at, lambda: context.get_remaining_time_in_millis() > _RESERVE)
    finally:
        _measure(requeue.outcomes)
    report = {outcome.value: requeue.outcomes[outcome] for outcome in Outcome}
    logger.info("stalled orders processed", extra={**report, "complete": is_complete})
    return {**report, "complete": is_complete}


def _measure(done: Counter[Outcome]) -> None:
    emit(
        totals={
            "OrdersStalled": done[Outcome.REQUEUED] + done[Outcome.EXHAUSTED] + done[Outcome.FAILED],
            "OrdersRequeued": done[Outcome.REQUEUED],
            "AttemptsExhausted": done[Outcome.EXHAUSTED],
        }
    )
