"""Ways to look at, hold up and break the functions' calls of DynamoDB, at botocore's own hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from functions.shared import aws


@dataclass(frozen=True)
class Call:
    """One call: the operation, its parameters, and what came back."""

    operation: str
    parameters: dict[str, Any]
    answer: dict[str, Any]


@contextmanager
def _hooked(event: str, hook: Callable[..., object]) -> Iterator[None]:
    events = aws.client("dynamodb").meta.events
    events.register_first(event, hook)
    try:
        yield
    finally:
        events.unregister(event, hook)


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collects all calls."""
    calls: list[Call] = []
    parameters: list[dict[str, Any]] = []

    def before(params: dict[str, Any], **_: object) -> None:
        parameters.append(params)

    def after(parsed: dict[str, Any], model: Any, **_: object) -> None:
        calls.append(Call(model.name, parameters.pop(), parsed))

    with _hooked("before-parameter-build.dynamodb", before), _hooked("after-call.dynamodb", after):
        yield calls


@contextmanager
def first(operation: str, action: Callable[[], object]) -> Iterator[None]:
    """Does something at the last moment before the first call of an operation leaves."""
    done: list[bool] = []

    def hook(**_: object) -> None:
        if not done:
            done.append(True)
            action()

    with _hooked(f"before-call.dynamodb.{operation}", hook):
        yield


@contextmanager
def refused(code: str, message: str, status: int = 400) -> Iterator[None]:
    """Has DynamoDB refuse every call."""
    parsed = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    with _hooked("before-call.dynamodb", lambda **_: (SimpleNamespace(status_code=status), parsed)):
        yield


@contextmanager
def raised(error: Exception) -> Iterator[None]:
    """Has every call end with an exception."""

    def hook(**_: object) -> None:
        raise error

    with _hooked("before-call.dynamodb", hook):
        yield
