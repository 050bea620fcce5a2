"""Users and products over HTTP: what both kinds of records have in common, and what products add."""

from __future__ import annotations

import base64
import json

import pytest

from local.memory.functions import HttpAnswer, World
from tests.functions.dynamodb_hooks import first

RECORDS: dict[str, dict[str, object]] = {
    "users": {"name": "Ada", "email": "ada@example.com"},
    "products": {"title": "Lamp", "price": 1999, "stock": 5, "description": "Bright"},
}
ID = {"users": "userId", "products": "productId"}
FIELD = {"users": "name", "products": "title"}

each_kind = pytest.mark.parametrize("kind", ["users", "products"])


def create(world: World, kind: str) -> HttpAnswer:
    return world.api.post(f"/{kind}", RECORDS[kind])


def path_of(kind: str, created: HttpAnswer) -> str:
    return f"/{kind}/{created.body[ID[kind]]}"


@each_kind
def test_a_record_is_created_with_a_location_and_an_etag_and_read_back(world: World, kind: str) -> None:
    created = create(world, kind)
    path = path_of(kind, created)
    assert created.status == 201
    assert created.headers["location"] == f"/v1{path}"
    assert created.headers["etag"] == '"1"'
    assert RECORDS[kind].items() <= created.body.items()
    read = world.api.get(path)
    assert (read.status, read.body, read.headers["etag"]) == (200, created.body, '"1"')


@each_kind
def test_a_patch_changes_only_what_was_sent_and_counts_the_version(world: World, kind: str) -> None:
    created = create(world, kind)
    patched = world.api.patch(path_of(kind, created), {FIELD[kind]: "New"})
    expected = created.body | {FIELD[kind]: "New", "version": 2, "updatedAt": patched.body["updatedAt"]}
    assert (patched.status, patched.headers["etag"], patched.body) == (200, '"2"', expected)


@each_kind
@pytest.mark.parametrize("field", ["version", "createdAt", "updatedAt", "userId", "productId", "nonsense"])
def test_a_patch_of_anything_else_is_a_422_that_names_it_and_changes_nothing(
    world: World, kind: str, field: str
) -> None:
    created = create(world, kind)
    answer = world.api.patch(path_of(kind, created), {field: "x"})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert world.api.get(path_of(kind, created)).body == created.body


@each_kind
def test_an_empty_patch_is_a_422(world: World, kind: str) -> None:
    assert world.api.patch(path_of(kind, create(world, kind)), {}).status == 422


@each_kind
@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"2"', 412), ('W/"1"', 412), ('"abc"', 412), ("", 412)],
)
def test_a_patch_and_a_delete_honour_if_match(world: World, kind: str, if_match: str, status: int) -> None:
    path = path_of(kind, create(world, kind))
    patched = world.api.patch(path, {FIELD[kind]: "New"}, headers={"If-Match": if_match})
    assert patched.status == status
    path = path_of(kind, create(world, kind))
    assert world.api.delete(path, headers={"If-Match": if_match}).status == (204 if status == 200 else 412)


# Two fields of each kind, changed by two clients at the same time.
CHANGES = {
    "users": ({"name": "New"}, {"email": "new@example.com"}),
    "products": ({"title": "New"}, {"price": 1}),
}


@each_kind
def test_two_patches_of_different_fields_at_the_same_time_both_survive(world: World, kind: str) -> None:
    created = create(world, kind)
    path = path_of(kind, created)
    mine, theirs = CHANGES[kind]
    with first("UpdateItem", lambda: world.api.patch(path, theirs)):
        patched = world.api.patch(path, mine)
    assert patched.status == 200
    stored = world.api.get(path)
    assert stored.body == created.body | mine | theirs | {
        "version": 3,
        "updatedAt": stored.body["updatedAt"],
    }
    assert stored.headers["etag"] == '"3"'


@each_kind
def test_of_two_patches_of_the_same_version_at_the_same_time_one_wins(world: World, kind: str) -> None:
    created = create(world, kind)
    path, headers = path_of(kind, created), {"If-Match": created.headers["etag"]}
    mine, theirs = CHANGES[kind]
    with first("UpdateItem", lambda: world.api.patch(path, theirs, headers=headers)):
        patched = world.api.patch(path, mine, headers=headers)
    assert (patched.status, patched.body["code"]) == (412, "version_mismatch")
    stored = world.api.get(path).body
    assert stored == created.body | theirs | {"version": 2, "updatedAt": stored["updatedAt"]}


@each_kind
def test_a_patch_never_brings_back_what_is_deleted_at_the_same_time(world: World, kind: str) -> None:
    path = path_of(kind, create(world, kind))
    with first("UpdateItem", lambda: world.api.delete(path)):
        assert world.api.patch(path, CHANGES[kind][0]).status == 404
    assert world.dynamodb.scan(TableName=kind)["Count"] == 0


@each_kind
def test_a_record_from_before_there_were_versions_is_counted_from_zero(world: World, kind: str) -> None:
    created = create(world, kind)
    key = {ID[kind]: {"S": created.body[ID[kind]]}}
    world.dynamodb.update_item(TableName=kind, Key=key, UpdateExpression="REMOVE version")
    assert world.api.patch(path_of(kind, created), CHANGES[kind][0]).headers["etag"] == '"1"'


@each_kind
def test_a_deleted_record_is_gone(world: World, kind: str) -> None:
    path = path_of(kind, create(world, kind))
    assert world.api.delete(path).status == 204
    for answer in (world.api.get(path), world.api.delete(path), world.api.patch(path, {FIELD[kind]: "x"})):
        assert (answer.status, answer.body["code"]) == (404, "not_found")


@each_kind
def test_a_list_is_walked_by_pages_and_shows_each_record_once(world: World, kind: str) -> None:
    created = {create(world, kind).body[ID[kind]] for _ in range(7)}
    seen: list[str] = []
    token = None
    while True:
        page = world.api.get(f"/{kind}", query={"limit": "3"} | ({"nextToken": token} if token else {})).body
        assert len(page["items"]) <= 3
        seen.extend(item[ID[kind]] for item in page["items"])
        token = page.get("nextToken")
        if token is None:
            break
    assert sorted(seen) == sorted(created)


@each_kind
@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "999999999999", "٣"])
def test_a_limit_out_of_bounds_is_a_422(world: World, kind: str, limit: str) -> None:
    answer = world.api.get(f"/{kind}", query={"limit": limit})
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
        _token({"list": "user", "key": {"other": "x"}}),
        _token({"list": "user", "key": {"userId": ""}}),
        _token({"list": "product", "key": {"productId": 1}}),
        _token({"list": "orders of u", "key": {"userId": "x"}}),
        _token({"list": "user", "key": {"userId": "x" * 3000}}),
        _token({"list": "product", "key": {"productId": "a\nb"}}),
    ],
)
def test_a_page_token_that_the_list_did_not_hand_out_is_a_400(world: World, kind: str, token: str) -> None:
    answer = world.api.get(f"/{kind}", query={"nextToken": token})
    assert (answer.status, answer.body["code"]) == (400, "invalid_page_token")


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("users", {"name": ""}, "name"),
        ("users", {"name": "x" * 201}, "name"),
        ("users", {"email": "nobody"}, "email"),
        ("users", {"email": None}, "email"),
        ("products", {"price": -1}, "price"),
        ("products", {"price": 19.99}, "price"),
        ("products", {"price": True}, "price"),
        ("products", {"stock": -1}, "stock"),
        ("products", {"currency": "euro"}, "currency"),
        ("products", {"title": None}, "title"),
        ("products", {"description": "x" * 2001}, "description"),
    ],
)
def test_an_invalid_field_is_a_422_that_names_it_and_stores_nothing(
    world: World, kind: str, change: dict[str, object], field: str
) -> None:
    answer = world.api.post(f"/{kind}", RECORDS[kind] | change)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)
    assert world.dynamodb.scan(TableName=kind)["Count"] == 0


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_body"),
        ("", "application/json", 400, "malformed_body"),
        ("\ud800", "application/json", 400, "malformed_body"),
        ("[]", "application/json", 422, "invalid_input"),
        ("name=Ada", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (json.dumps({"name": "x" * 70_000, "email": "a@b"}), "application/json", 413, "body_too_large"),
        (json.dumps(RECORDS["users"]), "application/json; charset=utf-8", 201, None),
    ],
)
def test_a_body_that_is_not_what_it_should_be_has_its_own_status(
    world: World, body: str, content_type: str, status: int, code: str | None
) -> None:
    answer = world.api.post("/users", body, headers={"Content-Type": content_type})
    assert (answer.status, answer.body.get("code")) == (status, code)


def test_a_product_without_a_currency_has_the_default(world: World) -> None:
    assert world.api.post("/products", RECORDS["products"]).body["currency"] == "EUR"


def test_a_change_of_stock_must_name_the_version_it_is_based_on(world: World) -> None:
    path = path_of("products", create(world, "products"))
    assert world.api.patch(path, {"stock": 7}).status == 428
    patched = world.api.patch(path, {"stock": 7}, headers={"If-Match": '"1"'})
    assert (patched.status, patched.body["stock"]) == (200, 7)


def test_a_description_of_null_removes_it(world: World) -> None:
    path = path_of("products", create(world, "products"))
    assert "description" not in world.api.patch(path, {"description": None}).body


def test_an_unexpected_error_is_a_500_that_tells_only_the_request_id(world: World) -> None:
    world.dynamodb.delete_table(TableName="users")
    answer = world.api.get("/users/u-1")
    assert answer.status == 500
    assert answer.body == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal_error",
        "detail": "This is our fault; the request id helps us find it.",
        "requestId": "request-1",
    }


def test_an_unknown_route_is_a_404(world: World) -> None:
    assert world.api.request("PUT", "/users/u-1", {}).status == 404


def test_answers_carry_cors_headers_for_a_page_of_another_origin(world: World) -> None:
    answer = world.api.get("/users", headers={"Origin": "https://shop.example.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "ETag,Location"
