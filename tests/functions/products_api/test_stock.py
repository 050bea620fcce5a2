"""Changes of stock: added or taken, and never below zero."""

from __future__ import annotations

import pytest

from functions.shared.domain.products import MAX_STOCK
from local.memory.backend import MemoryBackend
from local.memory.faults import BeforeFirst, CallRecorder
from local.memory.functions import HttpAnswer


def change(backend: MemoryBackend, product: str, amount: object, **fields: object) -> HttpAnswer:
    return backend.api.post(f"/products/{product}/stock", {"change": amount, **fields})


def test_a_change_is_added_and_shown_with_its_reason(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    added = change(backend, product, 50, reason=" delivery 4711 ")
    assert (added.status, added.body["stock"], added.headers["etag"]) == (200, 55, '"2"')
    assert added.body["lastStockChange"] == {
        "change": 50,
        "at": added.body["updatedAt"],
        "reason": "delivery 4711",
    }
    taken = change(backend, product, -55)
    assert (taken.status, taken.body["stock"]) == (200, 0)
    assert "reason" not in taken.body["lastStockChange"]
    assert backend.api.get(f"/products/{product}").body == taken.body


def test_a_change_below_zero_is_a_409_that_changes_nothing(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    before = backend.api.get(f"/products/{product}").body
    answer = change(backend, product, -6)
    assert (answer.status, answer.body["code"]) == (409, "insufficient_stock")
    assert "5 in stock" in answer.body["detail"]
    assert backend.api.get(f"/products/{product}").body == before


def test_a_change_above_the_limit_of_the_stock_is_a_422(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    answer = change(backend, product, MAX_STOCK)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "change")
    assert str(MAX_STOCK - 5) in answer.body["errors"][0]["message"]
    assert change(backend, product, MAX_STOCK - 5).body["stock"] == MAX_STOCK


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "change"),
        ({"change": 1.5}, "change"),
        ({"change": MAX_STOCK + 1}, "change"),
        ({"change": 1, "reason": "x" * 65}, "reason"),
        ({"change": 1, "reason": ""}, "reason"),
        ({"change": 1, "stock": 1}, "stock"),
    ],
)
def test_an_invalid_change_is_a_422_that_names_the_field(
    backend: MemoryBackend, body: dict[str, object], field: str
) -> None:
    product = backend.create_product(stock=5)
    answer = backend.api.post(f"/products/{product}/stock", body)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert backend.stock(product) == 5


def test_an_unknown_product_is_a_404(backend: MemoryBackend) -> None:
    for amount in (1, -1):
        assert change(backend, "ghost", amount).status == 404
    assert backend.count("products") == 0


def test_changes_at_the_same_time_all_count(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    with backend.hooked(BeforeFirst("UpdateItem", lambda: change(backend, product, -3))):
        answer = change(backend, product, -2)
    assert (answer.status, backend.stock(product)) == (200, 0)


def test_a_change_and_a_reservation_at_the_same_time_both_count(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    order = backend.create_validated_order({product: 4})
    with backend.hooked(BeforeFirst("UpdateItem", lambda: backend.reserve(order))):
        answer = change(backend, product, -2)
    assert (answer.status, backend.stock(product)) == (409, 1)


def test_a_change_of_stock_is_one_write_and_keeps_the_rest(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5, category="Lamps")
    before = backend.api.get(f"/products/{product}").body
    calls = CallRecorder()
    with backend.hooked(calls):
        after = change(backend, product, 1).body
    assert [call.operation for call in calls.calls] == ["UpdateItem"]
    changed = {"stock", "version", "updatedAt", "lastStockChange"}
    assert {name: after[name] for name in after.keys() - changed} == {
        name: before[name] for name in before.keys() - changed
    }
