"""Settings of SnapStart and provisioned concurrency."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake, read

BEHIND_API = (
    "names of functions behind the API: baskets_api, orders_api, products_api, reports_api, service_api, "
    "users_api"
)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"snapStart": "orders_api"}, "snapStart: orders_api is not allowed. Use a list."),
    ({"snapStart": ["orders"]}, f"snapStart: orders is not allowed. Use {BEHIND_API}."),
    ({"snapStart": [["orders_api"]]}, f'snapStart: ["orders_api"] is not allowed. Use {BEHIND_API}.'),
    ({"snapStart": ["validate_order"]}, f"snapStart: validate_order is not allowed. Use {BEHIND_API}."),
    (
        {"provisionedConcurrency": {"order_consumer": 1}},
        f"provisionedConcurrency: order_consumer is not allowed. Use {BEHIND_API}.",
    ),
    (
        {"provisionedConcurrency": {"orders_api": 0}},
        "provisionedConcurrency.orders_api: 0 is not allowed. Use a whole number of at least 1.",
    ),
    (
        {"provisionedConcurrency": {"orders_api": 3}, "reservedConcurrency": {"orders_api": 2}},
        "provisionedConcurrency.orders_api: 3 is too high. Use at most 2, its reservedConcurrency.",
    ),
    (
        {"provisionedConcurrency": {"orders_api": 3}, "snapStart": ["orders_api"]},
        "provisionedConcurrency.orders_api: orders_api has snapStart too. Use one of them.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


def test_no_function_publishes_versions_by_default() -> None:
    assert not read().warm_starts.functions


def test_functions_are_named_with_what_they_use() -> None:
    settings = read(
        snapStart=["orders_api", "orders_api"], provisionedConcurrency={"users_api": 2}
    ).warm_starts
    assert settings.snap_start == {"orders_api"}
    assert settings.provisioned_concurrency == {"users_api": 2}
    assert settings.functions == {"orders_api", "users_api"}
