"""Billed units follow AWS's documented rules."""

from __future__ import annotations

from typing import Any

import pytest

from bench.billing import Item, Ledger, TableSchema, item_size, read_units, write_units
from bench.prices import PRICES

SCHEMA = TableSchema.of(
    {
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "shard", "KeyType": "HASH"},
                    {"AttributeName": "since", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    }
)


def item(**attributes: Any) -> Item:
    return {"id": {"S": "1"}} | {name: {"S": value} for name, value in attributes.items()}


OPEN = item(shard="0", since="a")


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({"name": {"S": "Ada"}}, 4 + 3),
        ({"é": {"S": "é"}}, 2 + 2),
        ({"n": {"N": "1999"}}, 1 + 2 + 1),
        ({"n": {"N": "1000"}}, 1 + 1 + 1),  # trailing zeroes are trimmed
        ({"n": {"N": "-199"}}, 1 + 2 + 1 + 1),
        ({"b": {"BOOL": True}}, 1 + 1),
        ({"l": {"L": []}}, 1 + 3),
        ({"l": {"L": [{"S": "ab"}, {"S": "c"}]}}, 1 + 3 + (2 + 1) + (1 + 1)),
        ({"m": {"M": {"ab": {"S": "c"}}}}, 1 + 3 + (2 + 1 + 1)),
    ],
)
def test_an_items_size_counts_names_values_and_overhead(attributes: Item, size: int) -> None:
    assert item_size(attributes) == size


def test_a_write_costs_a_unit_per_started_kilobyte_of_the_larger_image() -> None:
    small, large = item(text="x" * 900), item(text="x" * 1900)

    assert write_units(None, small) == 1
    assert write_units(small, large) == 2
    assert write_units(large, small) == 2


def test_an_eventually_consistent_read_costs_half_and_an_empty_read_is_charged() -> None:
    assert read_units(0, consistent=False) == 0.5
    assert read_units(4096, consistent=True) == 1
    assert read_units(4097, consistent=False) == 1


@pytest.mark.parametrize(
    ("before", "after", "units"),
    [
        (None, OPEN, 1),  # an entry is added
        (OPEN, item(), 1),  # removed
        (OPEN, item(shard="0", since="b"), 2),  # moved
        (OPEN, item(shard="0", since="a", status="x"), 0),  # unchanged: the index holds keys only
        (item(), item(shard="0"), 0),  # never in the index: a key attribute is missing
    ],
)
def test_the_write_units_of_an_index_depend_on_how_its_entry_changes(
    before: Item | None, after: Item | None, units: int
) -> None:
    assert SCHEMA.index_writes(before, after) == {"open": units}


def test_an_index_that_holds_more_than_keys_is_an_error() -> None:
    schema = {
        "KeySchema": [{"AttributeName": "id"}],
        "GlobalSecondaryIndexes": [{"IndexName": "all", "Projection": {"ProjectionType": "ALL"}}],
    }

    with pytest.raises(ValueError, match="the index all"):
        TableSchema.of(schema)


def test_a_transaction_costs_double_per_item_even_if_it_is_cancelled() -> None:
    ledger = Ledger(schemas={"t": SCHEMA}, peek=lambda _table, _key: item())
    request = {
        "TransactItems": [
            {"Update": {"TableName": "t", "Key": {"id": {"S": key}}}} for key in ("1", "2", "3")
        ]
    }

    for error in ("", "TransactionCanceledException"):
        before = ledger.begin("TransactWriteItems", request)
        ledger.finish("dynamodb", "TransactWriteItems", request, None, before, error)

    assert [call.units for call in ledger.calls] == [{"writeUnits": 6}] * 2


def test_a_batch_read_rounds_each_item_up_even_a_missing_one() -> None:
    ledger = Ledger(schemas={"t": SCHEMA}, peek=lambda _table, _key: None)
    request = {"RequestItems": {"t": {"Keys": [{"id": {"S": key}} for key in ("1", "2", "3")]}}}

    ledger.finish("dynamodb", "BatchGetItem", request, {"Responses": {"t": [item(), item()]}}, {})

    assert ledger.total() == {"readUnits": 1.5}


def test_a_query_rounds_up_once_per_page() -> None:
    ledger = Ledger(schemas={"t": SCHEMA}, peek=lambda _table, _key: None)

    ledger.finish("dynamodb", "Query", {"TableName": "t"}, {"Items": [item(text="x" * 1000)] * 5}, {})

    assert ledger.total() == {"readUnits": 1.0}


def test_an_operation_without_a_billing_rule_is_an_error() -> None:
    ledger = Ledger(schemas={"t": SCHEMA}, peek=lambda _table, _key: None)

    for service, operation in (("dynamodb", "ExecuteStatement"), ("sns", "Publish"), ("sqs", "PurgeQueue")):
        with pytest.raises(ValueError, match=operation):
            ledger.finish(service, operation, {}, {}, {})


def test_the_price_of_a_unit_falls_from_tier_to_tier() -> None:
    requests = PRICES["apiRequests"]

    assert requests.of(1e6) == pytest.approx(3.50)
    assert requests.of(1_000e6) == pytest.approx(333 * 3.50 + 667 * 2.80)
