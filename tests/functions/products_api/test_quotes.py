"""Quotes: the prices and the availability of lines today."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import CallRecorder
from local.memory.functions import HttpAnswer


def ask(backend: MemoryBackend, quantities: Mapping[str, int]) -> HttpAnswer:
    items = [{"productId": product, "quantity": quantity} for product, quantity in quantities.items()]
    return backend.api.post("/quotes", {"items": items})


def test_a_quote_has_todays_prices_their_total_and_what_is_in_stock(backend: MemoryBackend) -> None:
    lamp = backend.create_product(price=1999, stock=5)
    desk = backend.create_product(price=14900, stock=1)
    answer = ask(backend, {lamp: 2, desk: 1})
    assert answer.status == 200
    assert answer.body == {
        "items": [
            {"productId": lamp, "quantity": 2, "available": 5, "title": "Lamp", "unitPrice": 1999},
            {"productId": desk, "quantity": 1, "available": 1, "title": "Lamp", "unitPrice": 14900},
        ],
        "total": 18898,
        "currency": "EUR",
    }


def test_a_line_with_too_little_stock_is_priced_and_marked(backend: MemoryBackend) -> None:
    lamp = backend.create_product(price=100, stock=1)
    quote = ask(backend, {lamp: 2}).body
    assert quote["items"] == [
        {
            "productId": lamp,
            "quantity": 2,
            "available": 1,
            "title": "Lamp",
            "unitPrice": 100,
            "problem": "insufficient_stock",
        }
    ]
    assert quote["total"] == 200


def test_an_unknown_product_is_marked_and_the_others_are_priced(backend: MemoryBackend) -> None:
    lamp = backend.create_product(price=100)
    quote = ask(backend, {"ghost": 3, lamp: 1}).body
    assert quote["items"][0] == {
        "productId": "ghost",
        "quantity": 3,
        "available": 0,
        "problem": "unknown_product",
    }
    assert (quote["total"], quote["currency"]) == (100, "EUR")


def test_an_archived_product_is_marked_and_the_others_are_priced(backend: MemoryBackend) -> None:
    archived = backend.create_product(price=100, currency="USD", archived=True)
    lamp = backend.create_product(price=100)
    quote = ask(backend, {archived: 1, lamp: 1}).body
    assert quote["items"][0] == {
        "productId": archived,
        "quantity": 1,
        "available": 0,
        "title": "Lamp",
        "problem": "product_archived",
    }
    assert (quote["total"], quote["currency"]) == (100, "EUR")


def test_a_quote_of_unknown_products_only_has_no_currency(backend: MemoryBackend) -> None:
    quote = ask(backend, {"ghost": 1}).body
    assert (quote["total"], "currency" in quote) == (0, False)


def test_a_product_of_another_currency_than_the_first_is_marked_and_not_added(
    backend: MemoryBackend,
) -> None:
    euros, dollars = backend.create_product(price=100), backend.create_product(price=7, currency="USD")
    quote = ask(backend, {euros: 1, dollars: 1}).body
    assert "problem" not in quote["items"][0]
    assert (quote["items"][1]["problem"], "unitPrice" in quote["items"][1]) == ("mixed_currencies", False)
    assert (quote["total"], quote["currency"]) == (100, "EUR")


def test_a_quote_stores_nothing_and_reads_all_products_by_one_call(backend: MemoryBackend) -> None:
    products = {backend.create_product(): 1 for _ in range(50)}
    recorder = CallRecorder()
    with backend.hooked(recorder):
        assert ask(backend, products).status == 200
    (call,) = recorder.calls
    assert call.operation == "BatchGetItem"
    assert call.parameters["RequestItems"]["products"]["ConsistentRead"] is False


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([], "items"),
        ([{"productId": "p", "quantity": 0}], "items[0].quantity"),
        ([{"productId": "p", "quantity": 1001}], "items[0].quantity"),
        ([{"productId": "a/b", "quantity": 1}], "items[0].productId"),
        ([{"productId": "p", "quantity": 1, "unitPrice": 1}], "items[0].unitPrice"),
        ([{"productId": "p", "quantity": 1}] * 2, "items[1].productId"),
        ([{"productId": f"p{number}", "quantity": 1} for number in range(51)], "items"),
    ],
)
def test_an_invalid_quote_is_a_422_that_names_the_field(
    backend: MemoryBackend, items: object, field: str
) -> None:
    answer = backend.api.post("/quotes", {"items": items})
    assert (answer.status, [error["field"] for error in answer.body["errors"]]) == (422, [field])
