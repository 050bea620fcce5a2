"""Users and products over HTTP: created, read, changed field by field, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import pytest

from functions.shared import clock
from functions.shared.domain.errors import StoreContention
from functions.shared.persistence.dynamodb import from_item
from functions.shared.persistence.records import batch_get
from local.memory.backend import MemoryBackend
from local.memory.cloud import ServiceCall
from local.memory.faults import FAULTS, BeforeFirst, CallRecorder, Failing, Fault, FaultAt, refusal
from tests.functions.records import FIELD, ID, RECORDS, create, each_kind, path_of


@each_kind
def test_a_record_is_created_with_a_location_and_an_etag_and_read_back(
    backend: MemoryBackend, kind: str
) -> None:
    created = create(backend, kind)
    path = path_of(kind, created)
    assert created.status == 201
    assert created.headers["location"] == f"/v1{path}"
    assert created.headers["etag"] == '"1"'
    assert RECORDS[kind].items() <= created.body.items()
    read = backend.api.get(path)
    assert (read.status, read.body, read.headers["etag"]) == (200, created.body, '"1"')


@each_kind
def test_a_patch_changes_only_the_given_fields_and_increments_the_version(
    backend: MemoryBackend, kind: str
) -> None:
    created = create(backend, kind)
    patched = backend.api.patch(path_of(kind, created), {FIELD[kind]: "New"})
    expected = created.body | {FIELD[kind]: "New", "version": 2, "updatedAt": patched.body["updatedAt"]}
    assert (patched.status, patched.headers["etag"], patched.body) == (200, '"2"', expected)


@each_kind
@pytest.mark.parametrize("field", ["version", "createdAt", "updatedAt", "userId", "productId", "nonsense"])
def test_a_patch_of_another_field_is_a_422_that_names_it_and_changes_nothing(
    backend: MemoryBackend, kind: str, field: str
) -> None:
    created = create(backend, kind)
    answer = backend.api.patch(path_of(kind, created), {field: "x"})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert backend.api.get(path_of(kind, created)).body == created.body


@each_kind
def test_an_empty_patch_is_a_422(backend: MemoryBackend, kind: str) -> None:
    assert backend.api.patch(path_of(kind, create(backend, kind)), {}).status == 422


@each_kind
@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        *(('"1"', 200), ("*", 200), ('"7", "1"', 200)),
        *(('"2"', 412), ('W/"1"', 412), ('"abc"', 412), ('"01"', 412)),
        *(("", 400), ("1", 400), ("x", 400), ('"1', 400), ('"1" "2"', 400), ('*, "1"', 400)),
        (", ".join(['"1"'] * 51), 400),
    ],
)
def test_a_patch_and_a_delete_apply_if_match(
    backend: MemoryBackend, kind: str, if_match: str, status: int
) -> None:
    path = path_of(kind, create(backend, kind))
    patched = backend.api.patch(path, {FIELD[kind]: "New"}, headers={"If-Match": if_match})
    assert patched.status == status
    path = path_of(kind, create(backend, kind))
    deleted = backend.api.delete(path, headers={"If-Match": if_match})
    assert deleted.status == (204 if status == 200 else status)
    if status == 400:
        assert deleted.body["code"] == "malformed_if_match"
        assert 'If-Match: "3"' in deleted.body["detail"]


@each_kind
def test_a_record_that_the_client_has_is_not_sent_again(backend: MemoryBackend, kind: str) -> None:
    path = path_of(kind, create(backend, kind))
    again = backend.api.get(path, headers={"If-None-Match": '"1"'})
    assert (again.status, again.body, again.headers["etag"]) == (304, None, '"1"')
    assert again.headers["content-type"] == "application/json"
    assert backend.api.get(path, headers={"If-None-Match": '"2"'}).status == 200


@each_kind
def test_white_space_around_a_text_is_removed(backend: MemoryBackend, kind: str) -> None:
    text = {**RECORDS[kind], FIELD[kind]: " \u3000Ada  Lovelace\t\n"}
    assert backend.api.post(f"/{kind}", text).body[FIELD[kind]] == "Ada  Lovelace"


@each_kind
@pytest.mark.parametrize(
    "text",
    ["", "   ", "\t", "a\u0000b", "a\nb", "a\u007fb", "a\u0085b", "a\u202eb", "a\u2066b", "a\u200fb"],
)
def test_a_blank_text_or_a_control_character_is_a_422(backend: MemoryBackend, kind: str, text: str) -> None:
    answer = backend.api.post(f"/{kind}", {**RECORDS[kind], FIELD[kind]: text})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, FIELD[kind])
    assert backend.count(kind) == 0


@each_kind
@pytest.mark.parametrize("text", ["Zoë", "MAX", "山田太郎", "👩‍👩‍👧", "O'Brien-Smith, Jr.", "עדה"])
def test_texts_of_all_scripts_are_kept(backend: MemoryBackend, kind: str, text: str) -> None:
    assert backend.api.post(f"/{kind}", {**RECORDS[kind], FIELD[kind]: text}).body[FIELD[kind]] == text


def test_white_space_around_an_address_is_removed(backend: MemoryBackend) -> None:
    user = backend.api.post("/users", {"name": "Ada", "email": " ada@example.com "})
    assert user.body["email"] == "ada@example.com"


def test_a_description_may_have_line_breaks(backend: MemoryBackend) -> None:
    product = {**RECORDS["products"], "description": "First.\nSecond."}
    assert backend.api.post("/products", product).body["description"] == "First.\nSecond."
    tab = {**RECORDS["products"], "description": "a\tb"}
    assert backend.api.post("/products", tab).status == 422


# Two fields of each kind, changed by two clients at the same time.
CHANGES = {
    "users": ({"name": "New"}, {"email": "new@example.com"}),
    "products": ({"title": "New"}, {"price": 1}),
}


@each_kind
def test_two_patches_of_different_fields_at_the_same_time_are_both_stored(
    backend: MemoryBackend, kind: str
) -> None:
    created = create(backend, kind)
    path = path_of(kind, created)
    mine, theirs = CHANGES[kind]
    with backend.hooked(BeforeFirst("UpdateItem", lambda: backend.api.patch(path, theirs))):
        patched = backend.api.patch(path, mine)
    assert patched.status == 200
    stored = backend.api.get(path)
    assert stored.body == created.body | mine | theirs | {
        "version": 3,
        "updatedAt": stored.body["updatedAt"],
    }
    assert stored.headers["etag"] == '"3"'


@each_kind
def test_the_second_of_two_patches_of_the_same_version_is_a_412(backend: MemoryBackend, kind: str) -> None:
    created = create(backend, kind)
    path, headers = path_of(kind, created), {"If-Match": created.headers["etag"]}
    mine, theirs = CHANGES[kind]
    with backend.hooked(BeforeFirst("UpdateItem", lambda: backend.api.patch(path, theirs, headers=headers))):
        patched = backend.api.patch(path, mine, headers=headers)
    assert (patched.status, patched.body["code"]) == (412, "version_mismatch")
    stored = backend.api.get(path).body
    assert stored == created.body | theirs | {"version": 2, "updatedAt": stored["updatedAt"]}


@each_kind
def test_a_patch_does_not_restore_a_record_that_is_deleted_at_the_same_time(
    backend: MemoryBackend, kind: str
) -> None:
    path = path_of(kind, create(backend, kind))
    with backend.hooked(BeforeFirst("UpdateItem", lambda: backend.api.delete(path))):
        assert backend.api.patch(path, CHANGES[kind][0]).status == 404
    assert backend.count(kind) == 0


@each_kind
def test_a_record_stored_without_a_version_has_version_zero(backend: MemoryBackend, kind: str) -> None:
    created = create(backend, kind)
    stored = backend.cloud.store.tables[kind].items[created.body[ID[kind]]]
    backend.put(kind, {name: value for name, value in from_item(stored).items() if name != "version"})
    assert backend.api.patch(path_of(kind, created), CHANGES[kind][0]).headers["etag"] == '"1"'


@each_kind
def test_a_deleted_record_is_a_404(backend: MemoryBackend, kind: str) -> None:
    created = create(backend, kind)
    path = path_of(kind, created)
    assert backend.api.delete(path).status == 204
    for answer in (
        backend.api.get(path),
        backend.api.delete(path),
        backend.api.patch(path, {FIELD[kind]: "x"}),
        backend.api.put(path, RECORDS[kind], headers={"If-Match": "*"}),
    ):
        assert (answer.status, answer.body["code"]) == (404, "not_found")
        assert answer.body["detail"] == f"There is no {kind[:-1]} {created.body[ID[kind]]}."


class Unprocessing:
    """A client that leaves the last key of the first `times` batches unprocessed."""

    def __init__(self, times: int) -> None:
        self.requested: list[list[str]] = []
        self._times = times

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803  boto3's name
        keys = RequestItems["users"]["Keys"]
        self.requested.append([key["userId"]["S"] for key in keys])
        left = keys[-1:] if len(self.requested) <= self._times else []
        found = [key for key in keys if key not in left]
        return {
            "Responses": {"users": found} if found else {},
            "UnprocessedKeys": {"users": {**RequestItems["users"], "Keys": left}} if left else {},
        }


def test_unprocessed_keys_are_read_again_after_growing_pauses(backend: MemoryBackend) -> None:
    client = Unprocessing(times=3)
    items = batch_get(client, "users", "userId", ["a", "b"], consistent=False)
    assert sorted(item["userId"]["S"] for item in items) == ["a", "b"]
    assert client.requested == [["a", "b"], ["b"], ["b"], ["b"]]
    assert backend.paused == sorted(backend.paused)
    assert 0.17 < sum(backend.paused) <= 0.35


def test_keys_that_stay_unprocessed_are_contention_within_a_second(backend: MemoryBackend) -> None:
    client = Unprocessing(times=99)
    with pytest.raises(StoreContention):
        batch_get(client, "users", "userId", ["a", "b"], consistent=False)
    assert (len(client.requested), len(backend.paused)) == (5, 4)
    assert sum(backend.paused) < 1


def test_no_keys_are_no_call(backend: MemoryBackend) -> None:
    assert batch_get(Unprocessing(times=0), "users", "userId", [], consistent=False) == []


def test_a_creation_that_the_store_throttles_is_a_503(backend: MemoryBackend) -> None:
    with backend.hooked(Failing(refusal("ThrottlingException"), "PutItem")):
        assert create(backend, "products").status == 503
    assert backend.count("products") == 0


@each_kind
def test_a_record_is_read_consistently(backend: MemoryBackend, kind: str) -> None:
    path, recorder = path_of(kind, create(backend, kind)), CallRecorder()
    with backend.hooked(recorder):
        assert backend.api.get(path).status == 200
    assert [call.parameters["ConsistentRead"] for call in recorder.calls] == [True]


def test_a_repeated_creation_does_not_overwrite_a_change_since(backend: MemoryBackend) -> None:
    def change(call: ServiceCall, request: Mapping[str, Any]) -> BaseException:
        product = request["Item"]["productId"]["S"]
        assert backend.api.patch(f"/products/{product}", {"price": 7}).status == 200
        lost = FAULTS["answer cut off once"].after
        assert lost
        return lost(call, request)

    with backend.hooked(FaultAt(0, Fault(after=change, is_repeated=False))):
        created = create(backend, "products")
    assert (created.status, created.body["price"], created.body["version"]) == (201, 7, 2)
    assert backend.api.get(path_of("products", created)).body == created.body


@each_kind
def test_a_patch_in_the_millisecond_of_another_change_is_made(backend: MemoryBackend, kind: str) -> None:
    created = create(backend, kind)
    path = path_of(kind, created)
    with patch.object(clock, "now", return_value="2026-06-01T00:00:00.000Z"):
        for number in (2, 3):
            changed = backend.api.patch(path, {FIELD[kind]: f"name {number}"})
            assert (changed.status, changed.body["version"]) == (200, number)
        stale = backend.api.patch(path, {FIELD[kind]: "late"}, headers={"If-Match": '"2"'})
    assert stale.status == 412
    assert backend.api.get(path).body[FIELD[kind]] == "name 3"
