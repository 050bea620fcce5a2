"""Invalid fields of a body are named by their path, with the expected value."""

from __future__ import annotations

import json

import pytest

from local.memory.backend import MemoryBackend


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("/users", [], "body", "expected an object with name, email"),
        ("/users", None, "body", "expected an object with name, email"),
        ("/users", {"email": "a@b"}, "name", "missing: expected a text on one line of 1 to 200 characters"),
        ("/users", {"name": 1, "email": "a@b"}, "name", "expected a text on one line of 1 to 200 characters"),
        (
            "/users",
            {"name": "A", "email": "a b"},
            "email",
            "expected an e-mail address of 3 to 254 characters",
        ),
        (
            "/users",
            {"name": "A", "email": "a@b\nc"},
            "email",
            "expected an e-mail address of 3 to 254 characters",
        ),
        (
            "/users",
            {"name": "A", "email": "a@b", "admin": True},
            "admin",
            "unknown: expected nothing but name, email",
        ),
        (
            "/products",
            {"title": "A", "price": 1, "stock": 1, "description": 1},
            "description",
            "expected a text without control characters of at most 2000 characters or null",
        ),
        (
            "/products",
            {"title": "A", "price": 1, "stock": 1, "currency": "EUR\n"},
            "currency",
            "expected an ISO 4217 currency code such as EUR or null",
        ),
        (
            "/products",
            {"title": "A", "price": 1.5, "stock": 1},
            "price",
            "expected a whole number from 0 to 100000000",
        ),
        ("/orders", {"userId": "u", "items": []}, "items", "expected a list of 1 to 50 elements"),
        (
            "/orders",
            {"userId": "u", "items": [1]},
            "items[0]",
            "expected an object with productId, quantity",
        ),
        (
            "/orders",
            {"userId": "u", "items": [{"productId": "a b", "quantity": 1}]},
            "items[0].productId",
            "expected an id (letters, digits, dots, - and _, not only dots) of 1 to 64 characters",
        ),
    ],
)
def test_an_invalid_field_is_named_by_its_path_with_the_expected_value(
    backend: MemoryBackend, path: str, body: object, field: str, message: str
) -> None:
    answer = backend.api.post(path, json.dumps(body))
    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    assert answer.body["errors"] == [{"field": field, "message": message}]
    assert answer.body["detail"] == f"Invalid {field}: {message}."


ORDER = {"userId": "u", "items": [{"productId": "p", "quantity": 1}]}
ADDRESS_FIELDS = "name, company, lines, postalCode, city, region, country, phone, email, instructions"
ADDRESS = {"name": "Ada", "lines": ["12 Square"], "city": "London", "country": "GB"}


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        (
            {"deliverTo": 1},
            "deliverTo",
            f"expected an object with {ADDRESS_FIELDS} or null",
        ),
        ({"deliverTo": {"name": "Ada"}}, "deliverTo.lines", "missing: expected a list of 1 to 3 elements"),
        ({"deliverTo": ADDRESS | {"lines": []}}, "deliverTo.lines", "expected a list of 1 to 3 elements"),
        (
            {"deliverTo": ADDRESS | {"lines": ["a", " "]}},
            "deliverTo.lines[1]",
            "expected a text on one line of 1 to 200 characters",
        ),
        (
            {"deliverTo": ADDRESS | {"country": "UK"}},
            "deliverTo.country",
            "expected an ISO 3166-1 country code such as DE",
        ),
        (
            {"deliverTo": ADDRESS | {"phone": "call me"}},
            "deliverTo.phone",
            "expected a phone number (digits, spaces and + ( ) . / -) of 3 to 32 characters or null",
        ),
        (
            {"deliverTo": ADDRESS | {"postalCode": "SW1Y_4JH"}},
            "deliverTo.postalCode",
            "expected a postal code (letters, digits, spaces and -) of 1 to 16 characters or null",
        ),
        (
            {"deliverTo": ADDRESS | {"street": "x"}},
            "deliverTo.street",
            f"unknown: expected nothing but {ADDRESS_FIELDS}",
        ),
        (
            {"metadata": {"color": 1}},
            "metadata.color",
            "expected a text without control characters of at most 200 characters",
        ),
        (
            {"metadata": {"": "x"}},
            "metadata",
            "expected keys that are a text on one line of 1 to 40 characters",
        ),
        (
            {"metadata": {str(n): "x" for n in range(21)}},
            "metadata",
            "expected an object of at most 20 elements or null",
        ),
        ({"metadata": [1]}, "metadata", "expected an object of at most 20 elements or null"),
        ({"reference": "a\nb"}, "reference", "expected a text on one line of 1 to 64 characters or null"),
    ],
)
def test_an_invalid_part_of_an_order_is_named_by_its_path(
    backend: MemoryBackend, content: dict[str, object], field: str, message: str
) -> None:
    answer = backend.api.post("/orders", ORDER | content)
    assert answer.status == 422
    assert {"field": field, "message": message} in answer.body["errors"]
    assert backend.count("orders") == 0


def test_texts_in_an_address_are_trimmed_and_metadata_is_kept_as_it_is(backend: MemoryBackend) -> None:
    address = ADDRESS | {"name": " Ada ", "lines": [" 12 Square"]}
    answer = backend.api.post("/orders", ORDER | {"deliverTo": address, "metadata": {"note": " a "}})
    assert answer.status == 201
    assert answer.body["deliverTo"] == ADDRESS
    assert answer.body["metadata"] == {"note": " a "}


def test_all_invalid_fields_of_a_body_are_named_at_once(backend: MemoryBackend) -> None:
    items = [{"productId": "", "quantity": 0}, {"quantity": 1}, {"productId": "p", "quantity": 1, "price": 1}]
    answer = backend.api.post("/orders", {"items": items, "total": 1})
    wrong = [
        "userId",
        "items[0].productId",
        "items[0].quantity",
        "items[1].productId",
        "items[2].price",
        "total",
    ]
    assert [error["field"] for error in answer.body["errors"]] == wrong
    assert answer.body["detail"] == f"6 fields are invalid: {', '.join(wrong)}."


def test_at_most_20_invalid_fields_are_named(backend: MemoryBackend) -> None:
    answer = backend.api.post("/users", {f"{number}" + "x" * 500: 1 for number in range(100)})
    assert len(answer.body["errors"]) == 20
    assert len(json.dumps(answer.body)) < 20_000
