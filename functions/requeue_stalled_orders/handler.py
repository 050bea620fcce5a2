"""Invoked by a schedule: processes every stalled order.

With a fulfillment system, a rule invokes it too, for each order that a client asks to cancel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from functions.requeue_stalled_orders.asking import Asking
from functions.requeue_stalled_orders.backlog import Backlog
from functions.requeue_stalled_orders.executions import Executions, never_running
from functions.requeue_stalled_orders.requeue import Outcome, Requeue
from functions.shared import aws, clock, deadline
from functions.shared.environment import optional, required
from functions.shared.events import CANCELLATION_REQUESTED, EventBus
from functions.shared.fulfillment import open_fulfillment_system
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.observability import emit, logger
from functions.shared.order_queue import OrderQueue
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reports import Reports
from functions.shared.persistence.reservations import Reservations
from functions.shared.reporting import Reporting

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
    EventBus.of_stack(lambda: aws.client("events")),
)
_backlog = Backlog(aws.client("cloudwatch"), required("ORDERS_QUEUE_URL"))
_is_running = (
    never_running
    if required("WORKFLOW_TYPE") == "EXPRESS"
    else Executions(aws.client("stepfunctions"), required("STATE_MACHINE_ARN")).is_running
)
_overdue_hours = int(optional("FULFILLMENT_OVERDUE_HOURS") or 0)
_reports = Reports(_dynamodb, required("ORDERS_TABLE"), required("PRODUCTS_TABLE"))
_fulfillment_system = open_fulfillment_system()


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: object, context: Any) -> dict[str, Any]:
    """Processes the orders that are due. Returns their number per outcome, and whether all were processed.

    Gives no attempts while the oldest message of the queue is as old as a stalled order. The orders on the
    queue must not use up attempts. After the event of a client's request to cancel an order in fulfillment,
    processes this order only. That emits no number of a run: a missing schedule must stay visible.
    """
    deadline.start(context)
    if isinstance(event, Mapping) and event.get("detail-type") == CANCELLATION_REQUESTED:
        requeue = _open_requeue(context)
        requeue.ask_to_cancel(event["detail"]["orderId"])
        return _report(requeue, is_complete=True)
    at = clock.now()
    age = _backlog.age(at)
    is_behind = age >= _stalled_after_minutes * 60
    if is_behind:
        logger.warning("the queue is behind, no order is requeued", oldest_message_seconds=age)
        if _fulfillment_system is None:
            _measure(Counter())  # otherwise the alarm on a missing schedule would start
            return {"skipped": True}
    requeue = _open_requeue(context)
    try:
        is_complete = requeue.run(
            at, lambda: context.get_remaining_time_in_millis() > _RESERVE, gives_attempts=not is_behind
        )
    finally:
        _measure(requeue.outcomes)
    return _report(requeue, is_complete=is_complete) | ({"skipped": True} if is_behind else {})


def _report(requeue: Requeue, *, is_complete: bool) -> dict[str, Any]:
    report = {outcome.value: requeue.outcomes[outcome] for outcome in Outcome} | {"complete": is_complete}
    logger.info("stalled orders processed", extra=report)
    return report


def _open_requeue(context: Any) -> Requeue:
    return Requeue(
        orders=_orders,
        reservations=_reservations,
        queue=_queue,
        lifecycle=_lifecycle,
        is_running=_is_running,
        max_attempts=_max_attempts,
        stalled_after_minutes=_stalled_after_minutes,
        correlation_id=context.aws_request_id,
        asking=_asking(context.aws_request_id),
    )


def _asking(correlation_id: str) -> Asking | None:
    if _fulfillment_system is None:
        return None
    return Asking(
        _fulfillment_system,
        _orders,
        Reporting(_reports, _lifecycle, overdue_hours=_overdue_hours),
        overdue_hours=_overdue_hours,
        correlation_id=correlation_id,
    )


def _measure(done: Counter[Outcome]) -> None:
    overdue = {"OrdersOverdue": done[Outcome.ANSWERED] + done[Outcome.UNANSWERED]}
    emit(
        totals={
            **(overdue if _fulfillment_system else {}),
            "OrdersStalled": done[Outcome.REQUEUED] + done[Outcome.EXHAUSTED] + done[Outcome.FAILED],
            "OrdersRequeued": done[Outcome.REQUEUED],
            "AttemptsExhausted": done[Outcome.EXHAUSTED],
        }
    )
