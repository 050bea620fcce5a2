"""Settings of the tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"tableBillingMode": "FREE"},
        "tableBillingMode: FREE is not allowed. Use one of PAY_PER_REQUEST, PROVISIONED.",
    ),
    ({"deletionProtection": "yes"}, "deletionProtection: yes is not allowed. Use one of true, false."),
    (
        {"tableReadCapacity": 5},
        "tableReadCapacity: 5 is not allowed. Use 0 with tableBillingMode PAY_PER_REQUEST.",
    ),
    (
        {"tableBillingMode": "PROVISIONED", "tableReadCapacity": 5},
        "tableWriteCapacity: 0 is not allowed. Use at least 1 with tableBillingMode PROVISIONED.",
    ),
    ({"recoveryDays": 36}, "recoveryDays: 36 is not allowed. Use a whole number from 1 to 35."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message
