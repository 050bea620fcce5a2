"""PUT of users and products: created under the client's id, or replaced."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from functions.shared import clock
from local.memory.backend import MemoryBackend
from local.memory.faults import BeforeFirst, CallRecorder
from tests.functions.records import FIELD, ID, RECORDS, each_kind


def new(kind: str, **changes: object) -> dict[str, object]:
    return {**RECORDS[kind], **changes}


@each_kind
def test_a_put_creates_a_record_under_the_clients_id(backend: MemoryBackend, kind: str) -> None:
    created = backend.api.put(f"/{kind}/SKU-4.2", new(kind))
    assert (created.status, created.headers["location"]) == (201, f"/v1/{kind}/SKU-4.2")
    assert (created.headers["etag"], created.body["version"]) == ('"1"', 1)
    assert created.body[ID[kind]] == "SKU-4.2"
    assert created.body["createdAt"] == created.body["updatedAt"]
    assert RECORDS[kind].items() <= created.body.items()
    assert backend.api.get(f"/{kind}/SKU-4.2").body == created.body


@each_kind
def test_a_put_replaces_a_record_and_increments_its_version(backend: MemoryBackend, kind: str) -> None:
    created = backend.api.put(f"/{kind}/r-1", new(kind)).body
    replaced = backend.api.put(f"/{kind}/r-1", new(kind, **{FIELD[kind]: "New"}))
    assert (replaced.status, replaced.headers["etag"]) == (200, '"2"')
    assert "location" not in replaced.headers
    changes = {FIELD[kind]: "New", "version": 2, "updatedAt": replaced.body["updatedAt"]}
    assert replaced.body == created | changes
    assert backend.api.get(f"/{kind}/r-1").body == replaced.body


def test_a_put_of_a_product_is_one_write(backend: MemoryBackend) -> None:
    for _ in range(2):
        calls = CallRecorder()
        with backend.hooked(calls):
            backend.api.put("/products/r-1", new("products"))
        assert [call.operation for call in calls.calls] == ["UpdateItem"]


def test_a_put_removes_the_optional_fields_that_it_does_not_have(backend: MemoryBackend) -> None:
    optional = {"description": "Bright", "category": "Lamps", "archived": True, "currency": "USD"}
    assert optional.items() <= backend.api.put("/products/p-1", new("products", **optional)).body.items()
    replaced = backend.api.put("/products/p-1", {"title": "Lamp", "price": 1}).body
    assert {"description", "category", "archived"}.isdisjoint(replaced)
    assert replaced["currency"] == "EUR"


@each_kind
def test_if_none_match_only_creates(backend: MemoryBackend, kind: str) -> None:
    only_new = {"If-None-Match": "*"}
    assert backend.api.put(f"/{kind}/r-1", new(kind), headers=only_new).status == 201
    stored = backend.api.get(f"/{kind}/r-1").body
    again = backend.api.put(f"/{kind}/r-1", new(kind, **{FIELD[kind]: "New"}), headers=only_new)
    assert (again.status, again.body["code"]) == (412, "already_exists")
    assert backend.api.get(f"/{kind}/r-1").body == stored


@each_kind
@pytest.mark.parametrize("tags", ['"1"', "", "x", '*, "1"'])
def test_another_if_none_match_is_a_400(backend: MemoryBackend, kind: str, tags: str) -> None:
    answer = backend.api.put(f"/{kind}/r-1", new(kind), headers={"If-None-Match": tags})
    assert (answer.status, answer.body["code"]) == (400, "malformed_if_none_match")
    assert backend.count(kind) == 0


@each_kind
@pytest.mark.parametrize("if_match", ["*", '"1"'])
def test_if_match_only_replaces(backend: MemoryBackend, kind: str, if_match: str) -> None:
    headers = {"If-Match": if_match}
    assert backend.api.put(f"/{kind}/r-1", new(kind), headers=headers).status == 404
    assert backend.count(kind) == 0
    backend.api.put(f"/{kind}/r-1", new(kind))
    assert backend.api.put(f"/{kind}/r-1", new(kind), headers=headers).status == 200
    stale = backend.api.put(f"/{kind}/r-1", new(kind), headers=headers)
    assert stale.status == (200 if if_match == "*" else 412)


@each_kind
def test_a_put_with_both_conditions_changes_nothing(backend: MemoryBackend, kind: str) -> None:
    both = {"If-Match": "*", "If-None-Match": "*"}
    assert backend.api.put(f"/{kind}/r-1", new(kind), headers=both).status == 404
    backend.api.put(f"/{kind}/r-1", new(kind))
    assert backend.api.put(f"/{kind}/r-1", new(kind), headers=both).status == 412
    assert backend.api.get(f"/{kind}/r-1").body["version"] == 1


@each_kind
def test_of_two_creations_at_the_same_time_one_wins(backend: MemoryBackend, kind: str) -> None:
    only_new = {"If-None-Match": "*"}
    theirs = lambda: backend.api.put(f"/{kind}/r-1", new(kind), headers=only_new)  # noqa: E731
    write = {"products": "UpdateItem", "users": "TransactWriteItems"}[kind]
    with backend.hooked(BeforeFirst(write, theirs)):
        mine = backend.api.put(f"/{kind}/r-1", new(kind, **{FIELD[kind]: "Mine"}), headers=only_new)
    assert mine.status == 412
    assert backend.api.get(f"/{kind}/r-1").body[FIELD[kind]] == RECORDS[kind][FIELD[kind]]


@each_kind
def test_puts_in_the_same_millisecond_create_once(backend: MemoryBackend, kind: str) -> None:
    with patch.object(clock, "now", return_value="2026-06-01T00:00:00.000Z"):
        answers = [backend.api.put(f"/{kind}/r-1", new(kind)) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert [answer.headers["etag"] for answer in answers] == ['"1"', '"2"', '"3"']


@each_kind
@pytest.mark.parametrize("record_id", [".", "..", "...", "a b", "x" * 65])
def test_no_record_has_an_id_of_another_format(backend: MemoryBackend, kind: str, record_id: str) -> None:
    assert backend.api.put(f"/{kind}/{record_id}", new(kind)).status == 404
    assert backend.count(kind) == 0


@each_kind
def test_a_put_with_a_missing_field_is_a_422_that_names_it(backend: MemoryBackend, kind: str) -> None:
    body = {name: value for name, value in RECORDS[kind].items() if name != FIELD[kind]}
    answer = backend.api.put(f"/{kind}/r-1", body)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, FIELD[kind])
    assert backend.count(kind) == 0


def test_a_put_without_if_match_never_changes_the_stock_of_an_existing_product(
    backend: MemoryBackend,
) -> None:
    path = "/products/p-1"
    assert backend.api.put(path, new("products", stock=5)).body["stock"] == 5
    backend.run_until_idle()
    order = backend.create_order(backend.create_user(), {"p-1": 2})
    backend.run_until_idle()
    assert backend.status(order) == "FULFILLED"
    for headers in ({}, {"If-Match": "*"}):
        assert backend.api.put(path, new("products", stock=5), headers=headers).body["stock"] == 3
    etag = backend.api.get(path).headers["etag"]
    counted = backend.api.put(path, new("products", stock=7, title="Desk"), headers={"If-Match": etag})
    assert (counted.status, counted.body["stock"], counted.body["title"]) == (200, 7, "Desk")
    etag = counted.headers["etag"]
    without = backend.api.put(path, {"title": "Lamp", "price": 1}, headers={"If-Match": etag})
    assert (without.status, without.body["stock"]) == (200, 7)


def test_a_new_product_without_a_stock_has_none(backend: MemoryBackend) -> None:
    assert backend.api.put("/products/p-1", {"title": "Lamp", "price": 1}).body["stock"] == 0
