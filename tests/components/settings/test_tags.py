"""The stack's tags."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.settings.reading import mistake, read

CHARACTERS = "letters, digits, spaces and _.:/=+-@, not starting with aws:"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"tags": ["team"]}, 'tags: ["team"] is not allowed. Use an object.'),
    ({"tags": {"": "orders"}}, f"tags: the name an empty text is not allowed. Use 1 to 128 {CHARACTERS}."),
    (
        {"tags": {"t" * 129: "orders"}},
        f"tags: the name {'t' * 129} is not allowed. Use 1 to 128 {CHARACTERS}.",
    ),
    ({"tags": {"aws:team": "orders"}}, f"tags: the name aws:team is not allowed. Use 1 to 128 {CHARACTERS}."),
    ({"tags": {"AWS:team": "orders"}}, f"tags: the name AWS:team is not allowed. Use 1 to 128 {CHARACTERS}."),
    ({"tags": {"team#1": "orders"}}, f"tags: the name team#1 is not allowed. Use 1 to 128 {CHARACTERS}."),
    ({"tags": {"team\t": "orders"}}, f"tags: the name team\t is not allowed. Use 1 to 128 {CHARACTERS}."),
    ({"tags": {"team": [1]}}, f"tags.team: [1] is not allowed. Use up to 256 {CHARACTERS}."),
    ({"tags": {"team": "o" * 257}}, f"tags.team: {'o' * 257} is not allowed. Use up to 256 {CHARACTERS}."),
    (
        {"tags": {"team": "orders & users"}},
        f"tags.team: orders & users is not allowed. Use up to 256 {CHARACTERS}.",
    ),
    ({"tags": {"team": "aws:orders"}}, f"tags.team: aws:orders is not allowed. Use up to 256 {CHARACTERS}."),
    ({"tags": {"project": "shop"}}, "tags.project: is set by the program. Use another name."),
    ({"tags": {"Stack": "shop"}}, "tags.Stack: is set by the program. Use another name."),
    ({"tags": {"team": "orders", "Team": "users"}}, "tags.team: is set twice with different case. Keep one."),
    ({"tags": {f"tag-{number}": "" for number in range(49)}}, "tags: 49 tags are too many. Use at most 48."),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_a_mistake_names_the_key_the_value_and_what_to_use(changes: dict[str, Any], message: str) -> None:
    assert mistake(**changes) == message


def test_every_tag_that_aws_accepts_is_accepted() -> None:
    tags = {f"tag-{number}": "" for number in range(45)} | {
        "Kostenträger": "Größe 1",
        "mail": "a.b-c_d+e@example.com",
        "t" * 128: "o" * 256,
    }
    assert read(tags=tags).tags == tags
