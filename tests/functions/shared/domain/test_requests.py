"""What a client may send for a user and for a product."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from functions.shared.domain.products import NewProduct, Product, ProductPatch, ProductPut
from functions.shared.domain.users import NewUser, User, UserPatch
from tests.functions.shared.domain.samples import AT, product

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


def test_a_new_product_has_neither_description_nor_currency_by_default() -> None:
    new = msgspec.convert(PRODUCT, NewProduct)
    assert (new.description, new.currency) == (None, None)


@pytest.mark.parametrize("kind", [UserPatch, ProductPatch])
def test_a_field_that_a_change_omits_is_unset(kind: Any) -> None:
    empty = msgspec.convert({}, kind)
    assert msgspec.structs.asdict(empty).keys() == set(kind.__struct_fields__)
    assert set(msgspec.structs.asdict(empty).values()) == {msgspec.UNSET}
    assert msgspec.to_builtins(empty) == {}


@pytest.mark.parametrize(
    ("kind", "request_"), [(NewUser, USER), (UserPatch, {}), (NewProduct, PRODUCT), (ProductPatch, {})]
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
