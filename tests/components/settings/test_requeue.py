"""Settings of the requeue."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"stalledAfterMinutes": 5}, "stalledAfterMinutes: 5 is not allowed. Use a whole number of at least 6."),
    ({"maxAttempts": 0}, "maxAttempts: 0 is not allowed. Use a whole number of at least 1."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message
