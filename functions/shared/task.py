"""What the Lambdas behind the state machine's tasks have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import msgspec

from functions.shared import aws, deadline
from functions.shared.domain.errors import (
    DependencyUnavailable,
    DomainError,
    FulfillmentRefused,
    InvalidInput,
    OrderCancelled,
    OrderRejected,
    Superseded,
)
from functions.shared.observability import emit, logger

T = TypeVar("T", bound="Task")

# What the state machine catches by name: with these a task answers, and does not fail.
_OUTCOMES = (OrderRejected, OrderCancelled, Superseded, FulfillmentRefused)


class Task(msgspec.Struct, frozen=True, rename="camel"):
    """What every task is told: which order, in which attempt, and the id of the request that began it."""

    order_id: str
    attempt: int
    correlation_id: str


def task_handler(kind: type[T]) -> Callable[[Callable[[T], object]], Callable[[dict[str, Any], Any], Any]]:
    """Make a Lambda handler of a function from a task to its result.

    One log line per invocation says how it ended, with the order, the attempt and the correlation id. For
    what the state machine catches by name that line is a metric too: Lambda counts it as an error.
    Errors of the domain leave by their own names, for the state machine to catch; a service's failure that
    may pass leaves as `DependencyUnavailable`, which it retries; a malformed payload is `InvalidInput`.
    """

    def decorate(run: Callable[[T], object]) -> Callable[[dict[str, Any], Any], Any]:
        @logger.inject_lambda_context(clear_state=True)
        @wraps(run)
        def handler(event: dict[str, Any], context: Any) -> Any:
            deadline.start(context)
            try:
                task = msgspec.convert(event, kind)
            except msgspec.ValidationError as error:
                raise InvalidInput(f"not a task for this function: {error}") from error
            logger.append_keys(order_id=task.order_id, attempt=task.attempt)
            logger.set_correlation_id(task.correlation_id)
            try:
                result = run(task)
            except _OUTCOMES as error:
                # One record: the metric carries the message. The runtime client adds its own for the error.
                emit(
                    counts=("TaskOutcomes",),
                    properties={"message": str(error), "outcome": type(error).__name__},
                )
                raise
            except DomainError as error:
                logger.info(str(error), outcome=type(error).__name__)
                raise
            except Exception as error:
                logger.exception("task failed")
                if aws.is_transient(error):
                    raise DependencyUnavailable("a service that this task needs did not answer") from error
                raise
            logger.info("done", outcome="success")
            return msgspec.to_builtins(result)

        return handler

    return decorate
