"""The common code of the state machine's tasks."""

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

# Errors that the state machine catches by name: expected outcomes of a task.
_OUTCOMES = (OrderRejected, OrderCancelled, Superseded, FulfillmentRefused)


class Task(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of every task: the order, its attempt, and the id of the request that placed it."""

    order_id: str
    attempt: int
    correlation_id: str


def task_handler(kind: type[T]) -> Callable[[Callable[[T], object]], Callable[[dict[str, Any], Any], Any]]:
    """Makes a Lambda handler of a function that takes a task and returns its result.

    Each invocation writes one log line with the outcome, the order, the attempt and the correlation id. For
    errors that the state machine catches by name the line is a metric too, because Lambda counts them as
    errors. The domain's errors keep their names, for the state machine. A transient failure of a service
    becomes `DependencyUnavailable`, which the state machine retries. A malformed payload is `InvalidInput`.
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
