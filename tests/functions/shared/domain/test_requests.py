"""What a client may send for a user and for a product."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from functions.shared.domain.products import (
    BatchProduct,
    NewProduct,
    NewStockChange,
    Product,
    ProductBatch,
    ProductPatch,
    ProductPut,
    StockChange,
)
from functions.shared.domain.users import NewUser, User, UserPatch, email_key
from tests.functions.shared.domain.samples import AT, mistakes, product

USER = {"name": "Ada", "email": "ada@example.com"}
PRODUCT = {"title": "Lamp", "price": 1999, "stock": 5}

ACCEPTED: list[tuple[str, Any]] = [
    ("name", "A"),
    ("name", "x" * 200),
    ("email", "a@b"),
    ("email", "x" * 252 + "@b"),
    ("title", "L"),
    ("title", "x" * 200),
    ("price", 0),
    ("price", 100_000_000),
    ("stock", 0),
    ("stock", 1_000_000_000),
    ("description", ""),
    ("description", "x" * 2000),
    ("description", None),
    ("currency", "USD"),
    ("category", "L"),
    ("category", "x" * 64),
    ("category", None),
    ("archived", True),
    ("archived", False),
]

REFUSED: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", "x" * 201),
    ("name", None),
    ("email", "@b"),
    ("email", "a@"),
    ("email", "ab"),
    ("email", "a@b@c"),
    ("email", "a b@c"),
    ("email", "a@b c"),
    ("email", "a@b\n"),
    ("email", "a\x7f@b"),
    ("email", "x" * 253 + "@b"),
    ("title", ""),
    ("title", "x" * 201),
    ("price", -1),
    ("price", 100_000_001),
    ("price", 1.5),
    ("stock", -1),
    ("stock", 1_000_000_001),
    ("description", "x" * 2001),
    ("description", "a\x00b"),
    ("currency", "usd"),
    ("currency", "EURO"),
    ("currency", "EU"),
    ("currency", "EUR\n"),
    ("category", ""),
    ("category", "x" * 65),
    ("category", "a\nb"),
    ("archived", None),
    ("archived", "true"),
    ("archived", 1),
    ("unknown", 1),
]


def requests(field: str, value: Any) -> list[tuple[Any, dict[str, Any]]]:
    """The requests with a field: to create a record, and to change one."""
    if field in USER:
        return [(NewUser, {**USER, field: value}), (UserPatch, {field: value})]
    whole = {**PRODUCT, field: value}
    return [(NewProduct, whole), (ProductPut, whole), (ProductPatch, {field: value})]


@pytest.mark.parametrize(("field", "value"), ACCEPTED)
def test_a_field_may_have_this_value(field: str, value: Any) -> None:
    for kind, request in requests(field, value):
        assert getattr(msgspec.convert(request, kind), field) == value


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_field_may_not_have_this_value(field: str, value: Any) -> None:
    for kind, request in requests(field, value):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(request, kind)


@pytest.mark.parametrize(("kind", "request_"), [(NewUser, USER), (NewProduct, PRODUCT)])
def test_each_field_of_a_new_record_is_required(kind: Any, request_: dict[str, Any]) -> None:
    for missing in request_:
        with pytest.raises(msgspec.ValidationError, match=missing):
            msgspec.convert({name: value for name, value in request_.items() if name != missing}, kind)


@pytest.mark.parametrize("kind", [NewProduct, ProductPut])
def test_a_product_has_no_other_field_by_default_and_is_for_sale(kind: Any) -> None:
    new = msgspec.convert(PRODUCT, kind)
    assert (new.description, new.currency, new.category, new.archived) == (None, None, None, False)
    assert ProductPut(title="Lamp", price=1).stock is None
    stored = product("p-1")
    assert (stored.description, stored.category, stored.last_stock_change) == (None, None, None)
    assert stored.archived is False


def test_a_wrong_field_of_a_product_is_named_with_the_expected_value() -> None:
    assert mistakes(NewProduct, PRODUCT | {"description": 1, "currency": "x"}) == [
        ("description", "expected a text without control characters of at most 2000 characters or null"),
        ("currency", "expected an ISO 4217 currency code such as EUR or null"),
    ]


def test_a_batch_has_1_to_100_products_which_are_checked_one_by_one() -> None:
    for valid in ([1], [1] * 100):
        assert msgspec.convert({"items": valid}, ProductBatch).items == valid
    for invalid in ([], [1] * 101):
        expected = "expected a list of products of 1 to 100 elements"
        assert mistakes(ProductBatch, {"items": invalid}) == [("items", expected)]
    contract = msgspec.json.schema(ProductBatch)["$defs"]["ProductBatch"]["properties"]["items"]
    assert contract["items"] == {"$ref": "#/components/schemas/BatchProduct"}


def test_a_change_of_stock_is_of_at_most_a_billion_pieces() -> None:
    for valid in (-1_000_000_000, 1_000_000_000):
        change = msgspec.convert({"change": valid}, NewStockChange)
        assert (change.change, change.reason) == (valid, None)
        assert msgspec.to_builtins(StockChange(valid, AT)) == {"change": valid, "at": AT}
    assert StockChange(1, AT).reason is None
    for invalid in (-1_000_000_001, 1_000_000_001):
        assert [field for field, _ in mistakes(NewStockChange, {"change": invalid})] == ["change"]


@pytest.mark.parametrize("kind", [UserPatch, ProductPatch])
def test_a_field_that_a_change_omits_is_unset(kind: Any) -> None:
    empty = msgspec.convert({}, kind)
    assert msgspec.structs.asdict(empty).keys() == set(kind.__struct_fields__)
    assert set(msgspec.structs.asdict(empty).values()) == {msgspec.UNSET}
    assert msgspec.to_builtins(empty) == {}


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        (NewUser, USER),
        (UserPatch, {}),
        (NewProduct, PRODUCT),
        (ProductPut, PRODUCT),
        (ProductPatch, {}),
        (BatchProduct, {**PRODUCT, "productId": "p-1"}),
        (ProductBatch, {"items": [1]}),
        (NewStockChange, {"change": 1}),
    ],
)
def test_an_unknown_field_is_refused(kind: Any, request_: dict[str, Any]) -> None:
    for name in ("version", "createdAt"):
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            msgspec.convert({**request_, name: 1}, kind)


def test_a_record_is_stored_with_names_in_camel_case_and_without_what_it_lacks() -> None:
    assert msgspec.to_builtins(User("u-1", "Ada", "a@b", 1, AT, AT)) == {
        "userId": "u-1",
        "name": "Ada",
        "email": "a@b",
        "version": 1,
        "createdAt": AT,
        "updatedAt": AT,
    }
    assert msgspec.to_builtins(product("p-1")) == {
        "productId": "p-1",
        "title": "title of p-1",
        "price": 100,
        "currency": "EUR",
        "stock": 5,
        "version": 1,
        "createdAt": AT,
        "updatedAt": AT,
    }
    assert msgspec.convert(msgspec.to_builtins(product("p-1")), Product) == product("p-1")


def test_the_key_of_an_address_is_a_hash_without_regard_to_case() -> None:
    assert email_key("Ada@Example.COM") == hashlib.sha256(b"ada@example.com").hexdigest()
