"""Sample users and products, for tests of what both kinds of records have in common."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from local.memory.functions import HttpAnswer

RECORDS: dict[str, dict[str, object]] = {
    "users": {"name": "Ada", "email": "ada@example.com"},
    "products": {"title": "Lamp", "price": 1999, "stock": 5, "description": "Bright"},
}
ID = {"users": "userId", "products": "productId"}
FIELD = {"users": "name", "products": "title"}
each_kind = pytest.mark.parametrize("kind", ["users", "products"])


def create(backend: MemoryBackend, kind: str) -> HttpAnswer:
    """Creates a record. A further user has another address."""
    number = backend.count(kind)
    other = {"email": f"ada-{number}@example.com"} if kind == "users" and number else {}
    return backend.api.post(f"/{kind}", RECORDS[kind] | other)


def path_of(kind: str, created: HttpAnswer) -> str:
    return f"/{kind}/{created.body[ID[kind]]}"
