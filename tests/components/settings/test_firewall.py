"""Settings of the firewall."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake, read

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"firewall": "on"}, "firewall: on is not allowed. Use one of true, false."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


def test_a_stack_has_no_firewall_by_default() -> None:
    assert not read().firewall
