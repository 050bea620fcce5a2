"""Settings of the alarms."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"alarmEmail": "me"}, "alarmEmail: me is not allowed. Use an e-mail address, none, or an empty text."),
    (
        {"runbookUrl": "docs/operations.md#alarms"},
        "runbookUrl: docs/operations.md#alarms is not allowed. "
        "Use an https URL or a page of this repository such as docs/operations.md, without a #section.",
    ),
    (
        {"alarmQueueSeconds": 480, "stalledAfterMinutes": 8},
        "alarmQueueSeconds: 480 is too high. Use less than the 8 minutes of stalledAfterMinutes.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message
