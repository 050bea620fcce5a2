"""E-mail addresses: each belongs to one user at most, and finds that user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from msgspec.structs import replace

from functions.shared import aws
from functions.shared.domain.users import User, email_key
from functions.shared.persistence.dynamodb import from_item
from functions.shared.persistence.users import UserRepository
from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Killed
from local.memory.faults import FAULTS, BeforeFirst, CallRecorder, Failing, FaultAt, faults_of
from local.memory.functions import HttpAnswer
from local.memory.interleaving import explore
from local.memory.store import client_error

ADA, GRACE, JOAN = "ada@example.com", "grace@example.com", "joan@example.com"


def put(backend: MemoryBackend, user: str, email: str, **headers: str) -> HttpAnswer:
    return backend.api.put(f"/users/{user}", {"name": user, "email": email}, headers=headers)


def found(backend: MemoryBackend, email: str) -> list[str]:
    page = backend.api.get("/users", query={"email": email}).body
    assert "nextToken" not in page
    return [user["userId"] for user in page["items"]]


def check_addresses(backend: MemoryBackend) -> None:
    """Checks that the table of addresses has exactly those of the users."""
    tables = backend.cloud.store.tables
    users = [from_item(item) for item in tables["users"].items.values()]
    entries = {key: item["userId"]["S"] for key, item in tables["emails"].items.items()}
    assert entries == {email_key(user["email"]): user["userId"] for user in users}
    assert len(entries) == len(users)


def test_a_user_is_found_by_the_address_without_regard_to_case(backend: MemoryBackend) -> None:
    user = backend.api.post("/users", {"name": "Ada", "email": "Ada@Example.com"}).body
    for email in ("ada@example.com", " ADA@EXAMPLE.COM "):
        page = backend.api.get("/users", query={"email": email}).body
        assert page == {"items": [user]}
    assert found(backend, GRACE) == []


@pytest.mark.parametrize("email", ["", "ada", "x" * 255 + "@b"])
def test_a_search_for_what_is_no_address_is_a_422(backend: MemoryBackend, email: str) -> None:
    answer = backend.api.get("/users", query={"email": email})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "email")


def test_a_search_by_address_has_no_next_page(backend: MemoryBackend) -> None:
    answer = backend.api.get("/users", query={"email": ADA, "nextToken": "x"})
    assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")


def test_a_search_reads_two_items(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    calls = CallRecorder()
    with backend.hooked(calls):
        assert found(backend, ADA) == ["u-1"]
    reads = [(call.operation, call.parameters["ConsistentRead"]) for call in calls.calls]
    assert reads == [("GetItem", True), ("GetItem", True)]


def test_a_user_who_changed_the_address_is_not_found_by_the_old_one(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    entries = backend.cloud.store.tables["emails"].items
    key, entry = next(iter(entries.items()))
    backend.api.patch("/users/u-1", {"email": GRACE})
    entries[key] = entry  # as a search may have read it before
    assert found(backend, ADA) == []
    # The user may take it again.
    assert backend.api.patch("/users/u-1", {"email": ADA}).status == 200
    check_addresses(backend)


def test_the_entry_of_another_user_is_never_removed(backend: MemoryBackend) -> None:
    for user, email in (("u-1", ADA), ("u-2", GRACE)):
        put(backend, user, email)
    entries = backend.cloud.store.tables["emails"].items
    for entry in entries.values():
        entry["userId"] = {"S": "u-3"}
    backend.api.patch("/users/u-1", {"email": JOAN})
    backend.api.delete("/users/u-2")
    assert [entry["userId"]["S"] for entry in entries.values()] == ["u-3", "u-3"]


@pytest.mark.parametrize("body", [{"email": GRACE}, None])
def test_a_write_of_another_version_than_if_match_names_changes_nothing(
    backend: MemoryBackend, body: object
) -> None:
    before = put(backend, "u-1", ADA).body
    method, headers = "PATCH" if body else "DELETE", {"If-Match": '"2"'}
    assert backend.api.request(method, "/users/u-1", body, headers=headers).status == 412
    assert backend.api.get("/users/u-1").body == before
    check_addresses(backend)


def test_a_user_that_was_stored_before_is_returned(backend: MemoryBackend) -> None:
    users = UserRepository(aws.client("dynamodb"), "users", "emails")
    stored = User("u-1", "Ada", ADA, 1, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z")
    calls = CallRecorder()
    with backend.hooked(calls):
        assert users.create(stored) == stored
    assert [call.operation for call in calls.calls] == ["TransactWriteItems"]
    assert users.create(replace(stored, name="Countess")) == stored
    assert users.records.get("u-1") == stored


def test_an_address_of_another_user_is_a_409_that_changes_nothing(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    put(backend, "u-2", GRACE)
    before = [from_item(item) for item in backend.cloud.store.tables["users"].items.values()]
    for answer in (
        backend.api.post("/users", {"name": "Ada", "email": "ADA@example.com"}),
        put(backend, "u-3", ADA),
        put(backend, "u-2", ADA),
        backend.api.patch("/users/u-2", {"email": ADA}),
    ):
        assert (answer.status, answer.body["code"]) == (409, "email_taken")
        assert "u-1" not in str(answer.body)
    assert [from_item(item) for item in backend.cloud.store.tables["users"].items.values()] == before
    check_addresses(backend)


def test_a_changed_address_frees_the_old_one(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    patched = backend.api.patch("/users/u-1", {"email": GRACE})
    assert (patched.status, patched.body["email"], patched.headers["etag"]) == (200, GRACE, '"2"')
    assert patched.body["updatedAt"] > patched.body["createdAt"]
    assert (found(backend, ADA), found(backend, GRACE)) == ([], ["u-1"])
    assert put(backend, "u-2", ADA).status == 201
    assert put(backend, "u-1", JOAN).status == 200
    assert backend.api.patch("/users/u-2", {"email": GRACE}).status == 200
    check_addresses(backend)


def test_a_user_may_change_the_case_of_the_address(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    for number, email in enumerate(("ADA@example.com", ADA), 2):
        assert backend.api.patch("/users/u-1", {"email": email}).body["email"] == email
        assert backend.api.get("/users/u-1").headers["etag"] == f'"{number}"'
    check_addresses(backend)


def test_a_deleted_user_frees_the_address(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    assert backend.api.delete("/users/u-1").status == 204
    assert found(backend, ADA) == []
    assert put(backend, "u-2", ADA).status == 201
    check_addresses(backend)


def test_an_address_is_not_stored_in_a_key(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    assert "ada" not in str(backend.cloud.store.tables["emails"].items)


def test_a_user_stored_without_an_entry_gets_one_with_the_next_address(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    backend.cloud.store.tables["emails"].items.clear()
    assert backend.api.patch("/users/u-1", {"email": GRACE}).status == 200
    check_addresses(backend)


def test_a_change_of_the_name_alone_is_one_write(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    calls = CallRecorder()
    with backend.hooked(calls):
        backend.api.patch("/users/u-1", {"name": "Countess"})
    assert [call.operation for call in calls.calls] == ["UpdateItem"]


def test_a_change_of_the_name_at_the_same_time_remains(backend: MemoryBackend) -> None:
    put(backend, "u-1", ADA)
    other = lambda: backend.api.patch("/users/u-1", {"name": "Countess"})  # noqa: E731
    with backend.hooked(BeforeFirst("TransactWriteItems", other)):
        patched = backend.api.patch("/users/u-1", {"email": GRACE}).body
    assert (patched["name"], patched["email"], patched["version"]) == ("Countess", GRACE, 3)
    check_addresses(backend)


@pytest.mark.parametrize(
    ("of_user", "of_address", "status", "pauses"),
    [
        ("ConditionalCheckFailed", "None", 503, [0.05, 0.1, 0.2]),
        ("TransactionConflict", "None", 503, []),
        ("None", "TransactionConflict", 503, []),
        ("None", "ValidationError", 500, []),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_user_that_keeps_changing_is_a_503(
    backend: MemoryBackend, method: str, of_user: str, of_address: str, status: int, pauses: list[float]
) -> None:
    put(backend, "u-1", ADA)
    reasons = [{"Code": of_user}, {"Code": of_address}]
    cancelled = client_error(
        "TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons
    )
    with backend.hooked(Failing(cancelled, "TransactWriteItems")):
        answer = backend.api.request(method, "/users/u-1", {"email": GRACE} if method == "PATCH" else None)
    assert (answer.status, backend.paused) == (status, pauses)
    check_addresses(backend)


Act = Callable[[MemoryBackend], HttpAnswer]
ACTS: dict[str, Act] = {
    "post": lambda backend: backend.api.post("/users", {"name": "New", "email": JOAN}),
    "put": lambda backend: put(backend, "u-3", JOAN),
    "patch": lambda backend: backend.api.patch("/users/u-1", {"email": JOAN}),
    "patch_other": lambda backend: backend.api.patch("/users/u-2", {"email": JOAN}),
    "take_adas": lambda backend: backend.api.patch("/users/u-2", {"email": ADA}),
    "rename": lambda backend: backend.api.patch("/users/u-1", {"name": "New"}),
    "delete": lambda backend: backend.api.delete("/users/u-1"),
}
PAIRS = [
    *(("post", "post"), ("post", "put"), ("put", "put"), ("patch", "post"), ("patch", "patch_other")),
    *(("patch", "take_adas"), ("patch", "patch"), ("patch", "rename"), ("patch", "delete")),
    *(("take_adas", "delete"), ("delete", "delete")),
]


@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_two_requests_at_the_same_time_leave_one_user_per_address(names: Sequence[str]) -> None:
    answers: list[int] = []

    def actor(name: str) -> Callable[[MemoryBackend], None]:
        return lambda backend: answers.append(ACTS[name](backend).status)

    def setting() -> tuple[MemoryBackend, list[Callable[[MemoryBackend], None]]]:
        answers.clear()
        backend = MemoryBackend()
        with installed(backend):
            put(backend, "u-1", ADA)
            put(backend, "u-2", GRACE)
        return backend, [actor(name) for name in names]

    def check(backend: MemoryBackend) -> None:
        check_addresses(backend)
        assert set(answers) <= {200, 201, 204, 404, 409}
        if set(names) <= {"post", "put", "patch", "patch_other"} and len(set(names)) == 2:
            assert sorted(answers)[-1] == 409  # both want the same address
            assert len(found(backend, JOAN)) == 1

    assert explore(setting, check).sequences > 1


@pytest.mark.parametrize("name", ACTS)
def test_a_request_that_was_cut_off_at_any_point_leaves_one_user_per_address(name: str) -> None:
    def play(fault: FaultAt) -> None:
        backend = MemoryBackend()
        with installed(backend):
            put(backend, "u-1", ADA)
            put(backend, "u-2", GRACE)
            with backend.hooked(fault), suppress(Killed):
                ACTS[name](backend)
            check_addresses(backend)

    listing = FaultAt()
    play(listing)
    for number, call in enumerate(listing.calls):
        for fault in faults_of(call):
            play(FaultAt(number, FAULTS[fault]))
