"""Settings of the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"defaultCurrency": "Euro"}, "defaultCurrency: Euro is not allowed. Use an ISO 4217 code such as EUR."),
    ({"defaultCurrency": "EUX"}, "defaultCurrency: EUX is not allowed. Use an ISO 4217 code such as EUR."),
    ({"usagePlans": {}}, "usagePlans: has no plan. Add at least one, such as free."),
    (
        {"usagePlans": {"free": {"burst": 5, "rate": 5}}},
        'usagePlans.free: {"burst": 5, "rate": 5} is not allowed. '
        "Use an object with exactly quotaPerDay, burst, rate.",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 5, "burst": 5, "rate": 5, "size": 1}}},
        'usagePlans.free: {"burst": 5, "quotaPerDay": 5, "rate": 5, "size": 1} is not allowed. '
        "Use an object with exactly quotaPerDay, burst, rate.",
    ),
    (
        {"usagePlans": {"free": {"quotaPerWeek": 5, "burst": 5, "rate": 5}}},
        'usagePlans.free: {"burst": 5, "quotaPerWeek": 5, "rate": 5} is not allowed. '
        "Use an object with exactly quotaPerDay, burst, rate.",
    ),
    (
        {"usagePlans": {"free": 5}},
        "usagePlans.free: 5 is not allowed. Use an object with exactly quotaPerDay, burst, rate.",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 0, "burst": 5, "rate": 5}}},
        "usagePlans.free.quotaPerDay: 0 is not allowed. Use a whole number of at least 1.",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 5, "burst": 5, "rate": 0}}},
        "usagePlans.free.rate: 0 is not allowed. Use a number of requests per second above 0.",
    ),
    ({"corsOrigins": []}, "corsOrigins: [] is not allowed. Use a list with at least one element."),
    (
        {"corsOrigins": ["https://shop.example.com/"]},
        "corsOrigins: https://shop.example.com/ is not allowed. "
        'Use origins of a scheme, a lower-case host and an optional port, or "*" alone.',
    ),
    (
        {"corsOrigins": ["*", "https://shop.example.com"]},
        "corsOrigins: * is not allowed. "
        'Use origins of a scheme, a lower-case host and an optional port, or "*" alone.',
    ),
    ({"apiTimeoutSeconds": 29}, "apiTimeoutSeconds: 29 is not allowed. Use a whole number from 6 to 28."),
    ({"accessLogs": "on"}, "accessLogs: on is not allowed. Use one of true, false."),
    ({"basketDays": 0}, "basketDays: 0 is not allowed. Use a whole number from 1 to 365."),
    ({"tracingPercent": 101}, "tracingPercent: 101 is not allowed. Use a whole number from 0 to 100."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message
