"""Routes of products, beyond what all records have in common."""

from __future__ import annotations

import pytest

from local.memory.backend import MemoryBackend
from tests.functions.records import RECORDS, create, path_of


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price": -1}, "price"),
        ({"price": 19.99}, "price"),
        ({"price": True}, "price"),
        ({"stock": -1}, "stock"),
        ({"currency": "euro"}, "currency"),
        ({"title": None}, "title"),
        ({"description": "x" * 2001}, "description"),
    ],
)
def test_an_invalid_field_is_a_422_that_names_it_and_stores_nothing(
    backend: MemoryBackend, change: dict[str, object], field: str
) -> None:
    answer = backend.api.post("/products", RECORDS["products"] | change)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert backend.count("products") == 0


def test_a_product_without_a_currency_has_the_default(backend: MemoryBackend) -> None:
    assert backend.api.post("/products", RECORDS["products"]).body["currency"] == "EUR"


def test_a_change_of_stock_requires_the_version_of_the_product(backend: MemoryBackend) -> None:
    path = path_of("products", create(backend, "products"))
    assert backend.api.patch(path, {"stock": 7}).status == 428
    # `*` names no version, so it could overwrite a reservation made meanwhile.
    assert backend.api.patch(path, {"stock": 7}, headers={"If-Match": "*"}).status == 428
    patched = backend.api.patch(path, {"stock": 7}, headers={"If-Match": '"1"'})
    assert (patched.status, patched.body["stock"]) == (200, 7)
    assert backend.api.patch(path, {"title": "Desk"}, headers={"If-Match": "*"}).status == 200


def test_a_description_of_null_removes_it(backend: MemoryBackend) -> None:
    path = path_of("products", create(backend, "products"))
    assert "description" not in backend.api.patch(path, {"description": None}).body
