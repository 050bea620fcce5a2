"""Routes of users, beyond what all records have in common."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from tests.functions.records import RECORDS


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"email": "ada.example.com"}, "email"),
        ({"email": None}, "email"),
    ],
)
def test_an_invalid_field_is_a_422_that_names_it_and_stores_nothing(
    backend: MemoryBackend, change: dict[str, object], field: str
) -> None:
    answer = backend.api.post("/users", RECORDS["users"] | change)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert backend.count("users") == 0
