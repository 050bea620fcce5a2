"""Routes of products, beyond what all records have in common."""

from __future__ import annotations

import pytest

from functions.shared.domain.products import Product
from local.memory.backend import MemoryBackend
from local.memory.faults import BeforeFirst, CallRecorder
from tests.functions.records import RECORDS, create, path_of
from tests.functions.shared.domain.samples import AT


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


@pytest.mark.parametrize("field", ["description", "category"])
def test_null_removes_an_optional_field(backend: MemoryBackend, field: str) -> None:
    path = path_of("products", backend.api.post("/products", RECORDS["products"] | {field: "Lamps"}))
    assert field not in backend.api.patch(path, {field: None}).body
    assert field not in backend.api.get(path).body


def listed(backend: MemoryBackend, **query: str) -> list[str]:
    """The ids on all pages of a list, by pages of two."""
    ids: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = backend.api.get("/products", query={"limit": "2", **query, **token}).body
        assert len(page["items"]) <= 2
        ids += [product["productId"] for product in page["items"]]
        if "nextToken" not in page:
            return ids
        token = {"nextToken": page["nextToken"]}


def test_a_category_lists_its_products_sorted_by_id(backend: MemoryBackend) -> None:
    lamps = [backend.create_product(category="Möbel & Licht") for _ in range(5)]
    backend.create_product(category="möbel & licht")
    backend.create_product()
    assert listed(backend, category="Möbel & Licht") == sorted(lamps)
    assert listed(backend, category=" Möbel & Licht ") == sorted(lamps)
    assert listed(backend, category="Sofas") == []
    assert len(listed(backend)) == 7


def test_a_category_is_read_by_one_query_and_one_batch(backend: MemoryBackend) -> None:
    for _ in range(5):
        backend.create_product(category="Lamps")
    calls = CallRecorder()
    with backend.hooked(calls):
        backend.api.get("/products", query={"category": "Lamps"})
    query, batch = calls.calls
    assert (query.operation, batch.operation) == ("Query", "BatchGetItem")
    assert batch.parameters["RequestItems"]["products"]["ConsistentRead"] is False


def test_a_product_moves_between_categories(backend: MemoryBackend) -> None:
    product = backend.create_product(category="Lamps")
    backend.api.patch(f"/products/{product}", {"category": "Sofas"})
    assert (listed(backend, category="Lamps"), listed(backend, category="Sofas")) == ([], [product])
    backend.api.patch(f"/products/{product}", {"category": None})
    assert listed(backend, category="Sofas") == []


def test_an_entry_of_the_index_that_lags_behind_is_not_listed(backend: MemoryBackend) -> None:
    product, other = (backend.create_product(category="Lamps") for _ in range(2))
    change = lambda: backend.api.patch(f"/products/{product}", {"category": "Sofas"})  # noqa: E731
    with backend.hooked(BeforeFirst("BatchGetItem", change)):
        assert listed(backend, category="Lamps") == [other]


def test_a_token_of_another_category_is_refused(backend: MemoryBackend) -> None:
    for category in ("Lamps", "Lamps", "Sofas"):
        backend.create_product(category=category)
    token = backend.api.get("/products", query={"category": "Lamps", "limit": "1"}).body["nextToken"]
    for query in ({"category": "Sofas"}, {}):
        answer = backend.api.get("/products", query={**query, "nextToken": token})
        assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")


@pytest.mark.parametrize(
    ("name", "value"), [("category", ""), ("category", "x" * 65), ("includeArchived", "maybe")]
)
def test_an_invalid_query_parameter_is_a_422_that_names_it(
    backend: MemoryBackend, name: str, value: str
) -> None:
    answer = backend.api.get("/products", query={name: value})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, name)


def test_an_archived_product_is_found_by_id_and_listed_only_on_request(backend: MemoryBackend) -> None:
    sold, archived = backend.create_product(category="Lamps"), backend.create_product(category="Lamps")
    patched = backend.api.patch(f"/products/{archived}", {"archived": True})
    assert (patched.status, patched.body["archived"]) == (200, True)
    assert backend.api.get(f"/products/{archived}").body["archived"] is True
    for query in ({}, {"category": "Lamps"}):
        assert listed(backend, **query) == listed(backend, **query, includeArchived="false") == [sold]
        assert set(listed(backend, **query, includeArchived="true")) == {sold, archived}
    restored = backend.api.patch(f"/products/{archived}", {"archived": False})
    assert "archived" not in restored.body
    assert set(listed(backend)) == {sold, archived}


def test_an_order_of_an_archived_product_is_rejected(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    user = backend.create_user()
    before = backend.create_order(user, {product: 1})
    backend.run_until_idle()
    backend.api.patch(f"/products/{product}", {"archived": True})
    after = backend.create_order(user, {product: 1})
    backend.run_until_idle()
    rejected = backend.api.get(f"/orders/{after}").body
    assert (rejected["status"], rejected["rejectionCode"]) == ("REJECTED", "product_archived")
    fulfilled = backend.api.get(f"/orders/{before}").body
    assert (fulfilled["status"], fulfilled["items"][0]["title"]) == ("FULFILLED", "Lamp")
    assert backend.stock(product) == 4


def test_an_order_that_was_validated_before_its_product_was_archived_is_fulfilled(
    backend: MemoryBackend,
) -> None:
    product = backend.create_product(stock=5)
    order = backend.create_validated_order({product: 1})
    backend.api.patch(f"/products/{product}", {"archived": True})
    backend.run_until_idle()
    assert backend.status(order) == "FULFILLED"


def test_a_product_with_dots_in_its_id_is_found_and_ordered(backend: MemoryBackend) -> None:
    backend.put("products", Product("SKU-4.2", "Lamp", 100, "EUR", 5, 1, AT, AT))
    assert backend.api.get("/products/SKU-4.2").body["productId"] == "SKU-4.2"
    order = backend.create_order(backend.create_user(), {"SKU-4.2": 1})
    backend.run_until_idle()
    assert backend.status(order) == "FULFILLED"
