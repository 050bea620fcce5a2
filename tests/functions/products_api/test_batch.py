"""Batches: up to 100 products in one request, each with its own result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import FAULTS, CallRecorder, FaultAt
from local.memory.functions import HttpAnswer


def entry(product_id: str, **fields: object) -> dict[str, Any]:
    return {"productId": product_id, "title": "Lamp", "price": 100, "stock": 5, **fields}


def send(backend: MemoryBackend, *entries: object, **headers: str) -> HttpAnswer:
    return backend.api.post("/products/batch", {"items": list(entries)}, headers=headers)


def test_each_product_is_created_or_replaced_and_has_its_result(backend: MemoryBackend) -> None:
    backend.api.put("/products/p-1", {"title": "Desk", "price": 1, "stock": 3})
    answer = send(backend, entry("p-1"), entry("p.2", category="Lamps"))
    assert answer.status == 207
    assert answer.body == {
        "results": [
            {"status": 200, "productId": "p-1", "version": 2},
            {"status": 201, "productId": "p.2", "version": 1},
        ]
    }
    replaced, created = (backend.api.get(f"/products/{product}").body for product in ("p-1", "p.2"))
    assert (replaced["title"], replaced["stock"]) == ("Lamp", 3)
    assert (created["category"], created["stock"]) == ("Lamps", 5)


@pytest.mark.parametrize(
    ("wrong", "field", "named"),
    [
        (entry("p-2", price=-1), "price", None),
        (entry("p-2", size="red"), "size", None),
        ({"productId": "p-2", "title": "Lamp"}, "price", None),
        (entry(".."), "productId", None),
        (entry("batch"), "productId", "batch"),
        (entry("p-1"), "productId", "p-1"),
        ("p-2", "body", None),
        (None, "body", None),
    ],
)
def test_a_wrong_entry_is_named_and_does_not_stop_the_others(
    backend: MemoryBackend, wrong: object, field: str, named: str | None
) -> None:
    answer = send(backend, entry("p-1"), wrong, entry("p-3"))
    assert [result["status"] for result in answer.body["results"]] == [201, 422, 201]
    result = answer.body["results"][1]
    assert {name: result[name] for name in result.keys() - {"problem"}} == (
        {"status": 422} | ({"productId": named} if named else {})
    )
    problem = result["problem"]
    assert (problem["code"], problem["errors"][0]["field"]) == ("invalid_input", field)
    assert backend.count("products") == 2


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_1_to_100_products(backend: MemoryBackend, count: int) -> None:
    answer = send(backend, *(entry(f"p-{number}") for number in range(count)))
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "items")
    assert backend.count("products") == 0


def test_a_batch_of_100_products_is_100_writes(backend: MemoryBackend) -> None:
    calls = CallRecorder()
    with backend.hooked(calls):
        answer = send(backend, *(entry(f"p-{number}") for number in range(100)))
    assert {result["status"] for result in answer.body["results"]} == {201}
    assert [call.operation for call in calls.calls] == ["UpdateItem"] * 100


def test_a_failure_of_one_write_is_its_result_and_may_be_tried_again_under_the_key(
    backend: MemoryBackend,
) -> None:
    entries = [entry(f"p-{number}") for number in range(3)]
    key = {"Idempotency-Key": "k-1"}
    with backend.hooked(FaultAt(2, FAULTS["throttled"])):  # the first call writes the key
        first = send(backend, *entries, **key)
    assert [result["status"] for result in first.body["results"]] == [201, 503, 201]
    again = send(backend, *entries, **key)
    assert [result["status"] for result in again.body["results"]] == [200, 201, 200]
    last = send(backend, *entries, **key)
    assert last.body == again.body
    assert backend.api.get("/products/p-0").body["version"] == 2


def test_an_unexpected_error_of_one_product_shows_nothing_internal(
    backend: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    def refuse(*_: object) -> Any:
        raise KeyError("secret")

    from functions.products_api.batch import put_each
    from functions.products_api.handler import api

    backend.api.get("/products/p-1")
    batch = put_each([entry("p-1")], put=refuse, problem_of=api.problem_of)
    results = batch.results
    assert not batch.is_final
    assert (results[0].status, results[0].problem and results[0].problem.code) == (500, "internal_error")
    assert "secret" not in str(results)
    assert any(line["message"] == "unexpected error" for line in log_lines())
