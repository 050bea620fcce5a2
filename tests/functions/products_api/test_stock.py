"""Changes of stock: added or taken, and never below zero."""

from __future__ import annotations

import pytest

from functions.shared.domain.products import MAX_STOCK
from local.memory.backend import MemoryBackend
from local.memory.faults import BeforeFirst, CallRecorder, Failing, refusal
from local.memory.functions import HttpAnswer
from local.memory.store import client_error


def change(
    backend: MemoryBackend, product: str, amount: object, *, key: str | None = None, **fields: object
) -> HttpAnswer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return backend.api.post(f"/products/{product}/stock", {"change": amount, **fields}, headers=headers)


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


each_key = pytest.mark.parametrize("key", [None, "k"], ids=["no key", "key"])


@each_key
def test_a_change_below_zero_is_a_409_that_changes_nothing(backend: MemoryBackend, key: str | None) -> None:
    product = backend.create_product(stock=5)
    before = backend.api.get(f"/products/{product}").body
    answer = change(backend, product, -6, key=key)
    assert (answer.status, answer.body["code"]) == (409, "insufficient_stock")
    assert "5 in stock" in answer.body["detail"]
    assert backend.api.get(f"/products/{product}").body == before


def test_a_change_above_the_limit_of_the_stock_is_a_422(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    answer = change(backend, product, MAX_STOCK)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "change")
    assert str(MAX_STOCK - 5) in answer.body["errors"][0]["message"]
    assert change(backend, product, MAX_STOCK - 5).body["stock"] == MAX_STOCK
    assert "at most 0:" in change(backend, product, 1).body["errors"][0]["message"]


@pytest.mark.parametrize(("stock", "status"), [(-1, 200), (5, 200), (MAX_STOCK + 1, 422)])
def test_a_change_of_zero_is_refused_only_above_the_limit(
    backend: MemoryBackend, stock: int, status: int
) -> None:
    product = backend.create_product()
    backend.put("products", {**backend.api.get(f"/products/{product}").body, "stock": stock})
    assert (change(backend, product, 0).status, backend.stock(product)) == (status, stock)


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


@each_key
def test_an_unknown_product_is_a_404(backend: MemoryBackend, key: str | None) -> None:
    for amount in (1, -1):
        answer = change(backend, "ghost", amount, key=key and f"{key}{amount}")
        assert (answer.status, "product ghost" in answer.body["detail"]) == (404, True)
    assert backend.count("products") == 0


def test_an_error_of_the_store_is_no_refusal(backend: MemoryBackend) -> None:
    product = backend.create_product(stock=5)
    with backend.hooked(Failing(refusal("AccessDeniedException"), "UpdateItem")):
        assert change(backend, product, 1).status == 500


@pytest.mark.parametrize(
    ("of_product", "of_mark", "status"),
    [
        ("TransactionConflict", "None", 503),
        ("None", "TransactionConflict", 503),
        ("None", "ValidationError", 500),
    ],
)
def test_a_transaction_that_is_cancelled_for_another_reason_changes_nothing(
    backend: MemoryBackend, of_product: str, of_mark: str, status: int
) -> None:
    product = backend.create_product(stock=5)
    reasons = [{"Code": of_product}, {"Code": of_mark}]
    cancelled = client_error(
        "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons
    )
    with backend.hooked(Failing(cancelled, "TransactWriteItems")):
        assert change(backend, product, 1, key="k").status == status
    assert backend.stock(product) == 5


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
