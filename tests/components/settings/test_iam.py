"""The permissions boundary."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake

MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"permissionsBoundaryArn": "orderflow-boundary-dev"},
        "permissionsBoundaryArn: orderflow-boundary-dev is not allowed. "
        "Use the ARN of an IAM policy, or an empty text.",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message
