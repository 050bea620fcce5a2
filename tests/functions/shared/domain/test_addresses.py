"""Where an order may go."""

from __future__ import annotations

import itertools
import re
import string

import msgspec
import pytest

from functions.shared.domain.addresses import COUNTRIES, Address
from tests.functions.shared.domain.samples import mistakes

NEEDED: dict[str, object] = {"name": "Ada", "lines": ["12 Square"], "city": "London", "country": "GB"}
_LINE = "a text on one line of 1 to 200 characters"
_POSTAL_CODE = "a postal code (letters, digits, spaces and -) of 1 to 16 characters"
_PHONE = "a phone number (digits, spaces and + ( ) . / -) of 3 to 32 characters"
_INSTRUCTIONS = "a text without control characters of 1 to 500 characters"


def countries() -> list[str]:
    pairs = ("".join(pair) for pair in itertools.product(string.ascii_uppercase, repeat=2))
    return [code for code in pairs if re.fullmatch(COUNTRIES, code)]


def test_an_address_may_be_in_each_of_the_249_countries_of_iso_3166() -> None:
    assert len(countries()) == 249


@pytest.mark.parametrize("code", ["DE", "GB", "AQ", "TW", "PS", "SS", "ZW"])
def test_a_country_is_known(code: str) -> None:
    assert code in countries()


@pytest.mark.parametrize("code", ["UK", "EU", "XK", "CS", "AN", "YU", "ZZ"])
def test_a_code_that_is_reserved_withdrawn_or_private_is_not_a_country(code: str) -> None:
    assert code not in countries()


def test_an_address_needs_a_name_lines_a_city_and_a_country() -> None:
    address = msgspec.convert(NEEDED, Address)
    others = ("company", "postal_code", "region", "phone", "email", "instructions")
    assert [getattr(address, name) for name in others] == [None] * 6
    assert msgspec.to_builtins(address) == NEEDED
    assert [field for field, _ in mistakes(Address, {})] == list(NEEDED)
    assert [field for field, _ in mistakes(Address, NEEDED | {"street": "x"})] == ["street"]


@pytest.mark.parametrize(
    ("field", "valid", "invalid", "expected"),
    [
        ("name", ["x", "x" * 200], [" ", "x" * 201], _LINE),
        ("lines", [["x"], ["x"] * 3], [[], ["x"] * 4], "a list of 1 to 3 elements"),
        ("country", ["DE"], ["UK", "DE\n"], "an ISO 3166-1 country code such as DE"),
        ("company", ["x"], [""], f"{_LINE} or null"),
        ("region", ["x"], [""], f"{_LINE} or null"),
        ("email", ["a@b"], ["a"], "an e-mail address of 3 to 254 characters or null"),
        (
            "postalCode",
            ["1", "SW1Y 4JH", "1" * 16],
            ["", "1" * 17, "a_b", " 1", "1 ", "1\n"],
            f"{_POSTAL_CODE} or null",
        ),
        (
            "phone",
            ["112", "+49 (0)30/12-3.4", "(0)1", "1" * 32],
            ["11", "1" * 33, "call", "-11", "11-", "112\n"],
            f"{_PHONE} or null",
        ),
        ("instructions", ["x", "a\nb", "x" * 500], ["", "\n", "x" * 501], f"{_INSTRUCTIONS} or null"),
    ],
)
def test_a_part_of_an_address_has_a_format(
    field: str, valid: list[object], invalid: list[object], expected: str
) -> None:
    for value in valid:
        assert mistakes(Address, NEEDED | {field: value}) == []
    for value in invalid:
        assert mistakes(Address, NEEDED | {field: value}) == [(field, f"expected {expected}")], value
