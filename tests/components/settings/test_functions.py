"""Settings of the functions."""

from __future__ import annotations

from typing import Any

import pytest

from components.packaging import function_names
from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"logLevel": "LOUD"},
        "logLevel: LOUD is not allowed. Use one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
    ),
    (
        {"logLevel": "info"},
        "logLevel: info is not allowed. Use one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
    ),
    ({"functionMemoryMb": 64}, "functionMemoryMb: 64 is not allowed. Use a whole number from 128 to 10240."),
    (
        {"functionMemoryMb": 256.5},
        "functionMemoryMb: 256.5 is not allowed. Use a whole number from 128 to 10240.",
    ),
    (
        {"functionMemoryMb": "much"},
        "functionMemoryMb: much is not allowed. Use a whole number from 128 to 10240.",
    ),
    ({"reservedConcurrency": [1]}, "reservedConcurrency: [1] is not allowed. Use an object."),
    (
        {"reservedConcurrency": {"orders_apl": 1}},
        "reservedConcurrency: orders_apl is not allowed. "
        f"Use names of functions: {', '.join(function_names())}.",
    ),
    (
        {"reservedConcurrency": {"orders_api": -1}},
        "reservedConcurrency.orders_api: -1 is not allowed. Use a whole number of at least 1.",
    ),
    ({"systemLogLevel": "ERROR"}, "systemLogLevel: ERROR is not allowed. Use one of DEBUG, INFO, WARN."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


@pytest.mark.parametrize("days", [-1, 0, 2, 15, 4000, "14.5", "a week"])
def test_a_retention_that_cloudwatch_does_not_offer_is_refused(days: object) -> None:
    message = mistake(logRetentionDays=days)
    assert message.startswith(f"logRetentionDays: {days} is not allowed. Use one of 1, 3, 5, 7, 14, 30, ")
    assert message.endswith("3653.")
