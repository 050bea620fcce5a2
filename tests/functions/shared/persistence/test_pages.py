"""Paged lists are complete and ordered. The cost of a page does not grow with the table."""

from __future__ import annotations

import base64
import json
import math
import re

import pytest

from functions.shared.domain.errors import InvalidPageToken
from functions.shared.persistence.dynamodb import AttributeValue, Item
from functions.shared.persistence.pages import (
    Position,
    decode_position,
    decode_token,
    encode_position,
    encode_token,
)
from local.memory.backend import MemoryBackend
from local.memory.faults import CallRecorder, RecordedCall
from tests.functions.records import create, each_kind

AT = "2026-01-01T00:00:00.000Z"
LISTS = {"users": "/users", "products": "/products", "orders": "/users/u-1/orders"}
ID = {"users": "userId", "products": "productId", "orders": "orderId"}
each_list = pytest.mark.parametrize("kind", LISTS)


def record(kind: str, number: int) -> dict[str, object]:
    """Returns a record to store. All records of a kind have the same size."""
    stamps = {ID[kind]: f"id-{number:06}", "createdAt": AT, "updatedAt": AT}
    if kind == "users":
        return {"name": "Ada", "email": "ada@example.com", "version": 1, **stamps}
    if kind == "products":
        # 2,000 characters make the records of a page cost more than one unit.
        return {
            "title": "Lamp",
            "description": "x" * 2000,
            "price": 1999,
            "currency": "EUR",
            "stock": 5,
            "version": 1,
            **stamps,
        }
    placed = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    return {
        "userId": "u-1",
        "items": [{"productId": f"p-{line}", "quantity": 1} for line in range(2)],
        "status": "PENDING",
        "history": [{"status": "PENDING", "at": AT}],
        "attempt": 1,
        "openShard": "0",
        "dueAt": AT,
        **stamps,
        "createdAt": placed,
    }


def fill(backend: MemoryBackend, kind: str, count: int) -> list[str]:
    """Stores records of a kind. Returns their ids, oldest first."""
    for number in range(count):
        backend.put(kind, record(kind, number))
    return [f"id-{number:06}" for number in range(count)]


def read_all_pages(backend: MemoryBackend, kind: str, limit: int) -> list[str]:
    """Returns the ids on all pages of a list."""
    found: list[str] = []
    token = None
    while True:
        query = {"limit": str(limit)} | ({"nextToken": token} if token else {})
        page = backend.api.get(LISTS[kind], query=query).body
        assert len(page["items"]) <= limit
        found += [item[ID[kind]] for item in page["items"]]
        token = page.get("nextToken")
        if token is None:
            return found


def size(value: AttributeValue) -> int:
    """Returns the bytes of a value that DynamoDB bills.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return math.ceil(len(content.lstrip("-")) / 2) + 1
    if kind == "L":
        return 3 + sum(1 + size(element) for element in content)
    if kind == "M":
        return 3 + sum(1 + len(name) + size(element) for name, element in content.items())
    return 1


def item_size(item: Item) -> int:
    return sum(len(name.encode()) + size(value) for name, value in item.items())


def read_units(call: RecordedCall) -> float:
    """Returns the capacity units of an eventually consistent read: half a unit for each 4 KB.

    They are rounded up per page of a Scan or Query, and per item of a BatchGetItem.
    """
    assert "FilterExpression" not in call.parameters  # a filter reads more items than it returns
    if call.operation == "BatchGetItem":
        (items,) = call.answer["Responses"].values()
        return sum(math.ceil(item_size(item) / 4096) / 2 for item in items)
    assert call.operation in {"Scan", "Query"}
    assert not call.parameters.get("ConsistentRead")
    assert len(call.answer["Items"]) <= call.parameters["Limit"]
    return math.ceil(sum(map(item_size, call.answer["Items"])) / 4096) / 2


@each_list
def test_a_list_of_1000_shows_each_record_once_and_a_page_costs_as_much_as_in_a_small_table(
    backend: MemoryBackend, kind: str
) -> None:
    few = fill(backend, kind, 20)
    first_page, all_pages = CallRecorder(), CallRecorder()
    with backend.hooked(first_page):
        backend.api.get(LISTS[kind], query={"limit": "7"})
    many = fill(backend, kind, 1000)
    with backend.hooked(all_pages):
        seen = read_all_pages(backend, kind, 7)
    assert set(few) < set(many)
    assert sorted(seen) == many
    per_page = len(first_page.calls)
    costs = [
        sum(map(read_units, all_pages.calls[start : start + per_page]))
        for start in range(0, len(all_pages.calls), per_page)
    ]
    assert max(costs) == sum(map(read_units, first_page.calls))
    assert len(costs) == math.ceil(1000 / 7)


def test_a_page_of_a_users_orders_is_one_query_and_one_batch(backend: MemoryBackend) -> None:
    fill(backend, "orders", 30)
    recorder = CallRecorder()
    with backend.hooked(recorder):
        backend.api.get("/users/u-1/orders", query={"limit": "20"})
    assert [call.operation for call in recorder.calls] == ["Query", "BatchGetItem"]


def test_only_the_orders_of_the_user_are_listed_newest_first(backend: MemoryBackend) -> None:
    placed = fill(backend, "orders", 25)
    backend.create_order("u-2", {"p-1": 1})
    assert read_all_pages(backend, "orders", 4) == placed[::-1]


def test_a_user_without_orders_has_an_empty_page(backend: MemoryBackend) -> None:
    answer = backend.api.get("/users/unknown/orders")
    assert (answer.status, answer.body) == (200, {"items": []})


@each_kind
def test_the_pages_of_a_list_show_each_record_once(backend: MemoryBackend, kind: str) -> None:
    created = {create(backend, kind).body[ID[kind]] for _ in range(7)}
    seen: list[str] = []
    token = None
    while True:
        page = backend.api.get(
            f"/{kind}", query={"limit": "3"} | ({"nextToken": token} if token else {})
        ).body
        assert len(page["items"]) <= 3
        seen.extend(item[ID[kind]] for item in page["items"])
        token = page.get("nextToken")
        if token is None:
            break
    assert sorted(seen) == sorted(created)


@each_kind
@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "999999999999", "٣"])
def test_a_limit_out_of_bounds_is_a_422(backend: MemoryBackend, kind: str, limit: str) -> None:
    answer = backend.api.get(f"/{kind}", query={"limit": limit})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "limit")


def _token(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@each_kind
@pytest.mark.parametrize(
    "token",
    [
        "",
        "!",
        "ä",
        "abc",
        _token("text"),
        "=" * 4,
        _token({"list": "user", "key": {"userId": "x"}}) + "****",
        _token({"list": "user", "key": {"userId": "x"}, "other": 1}),
        _token({"list": "user", "key": {"other": "x"}}),
        _token({"list": "user", "key": {"userId": ""}}),
        _token({"list": "product", "key": {"productId": 1}}),
        _token({"list": "orders of u", "key": {"userId": "x"}}),
        _token({"list": "user", "key": {"userId": "x" * 3000}}),
        _token({"list": "product", "key": {"productId": "a\nb"}}),
    ],
)
def test_an_invalid_page_token_is_a_400(backend: MemoryBackend, kind: str, token: str) -> None:
    answer = backend.api.get(f"/{kind}", query={"nextToken": token})
    assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")
    assert answer.body["detail"] == "This list did not hand out the nextToken."


def test_a_page_without_a_limit_has_20_records(backend: MemoryBackend) -> None:
    fill(backend, "products", 21)
    assert len(backend.api.get("/products").body["items"]) == 20


@pytest.mark.parametrize("length", range(3))
def test_a_token_is_text_for_a_url(length: int) -> None:
    """Its bytes, in base 64, would need padding, and both signs that a URL gives another meaning."""
    name = "list " + "?>" * 8 + "x" * length
    token = encode_token(name, {"userId": {"S": "u-1"}})
    assert token
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert {"-", "_"} <= set(token)
    assert decode_token(name, "userId", token) == {"ExclusiveStartKey": {"userId": {"S": "u-1"}}}


def test_a_position_is_decoded_by_its_list_within_its_partitions_and_times() -> None:
    position = Position(at="b", shown={0: "x", 1: "y"})
    token = encode_position("list", position)
    for first, last in (("b", "b"), ("a", "c")):
        assert decode_position("list", token, 2, first, last) == position
    for name, partitions, first, last in (
        ("other", 2, "b", "b"),
        ("list", 1, "b", "b"),
        ("list", 2, "c", "d"),
        ("list", 2, "a", "a"),
    ):
        with pytest.raises(InvalidPageToken, match="did not hand out"):
            decode_position(name, token, partitions, first, last)


@pytest.mark.parametrize(
    "after",
    [
        {"at": "b\n", "shown": {"0": "x"}},
        {"at": "b", "shown": {"0": "x\n"}},
        {"at": "b", "shown": {"-1": "x"}},
        {"at": "a", "shown": {"0": "x\n"}},
        {"at": "b", "shown": {"-1": "x\n"}},
    ],
)
def test_a_position_that_no_list_hands_out_is_refused(after: object) -> None:
    with pytest.raises(InvalidPageToken):
        decode_position("list", _token({"list": "list", "after": after}), 2, "b", "c")
    valid = {"at": "b", "shown": {"0": "x"}}
    with pytest.raises(InvalidPageToken):
        decode_position("list", _token({"list": "list", "after": valid, "other": 1}), 2, "b", "c")


def test_a_page_token_of_another_user_is_a_400(backend: MemoryBackend) -> None:
    for _ in range(2):
        backend.create_order("u-1", {"p-1": 1})
    token = backend.api.get("/users/u-1/orders", query={"limit": "1"}).body["nextToken"]
    answer = backend.api.get("/users/u-2/orders", query={"nextToken": token})
    assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")
