"""The currencies of prices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from functions.shared.domain.currencies import CODE, DECIMALS
from local.memory.backend import MemoryBackend


@pytest.mark.parametrize(("code", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLP", 0), ("XCG", 2)])
def test_a_currency_has_its_decimals(code: str, decimals: int) -> None:
    assert DECIMALS[code] == decimals


@pytest.mark.parametrize(
    "code", ["HRK", "SLL", "ANG", "BGN", "XAU", "XXX", "XTS", "CLF", "eur", "EURO", "EUR\n"]
)
def test_a_withdrawn_code_a_fund_and_a_metal_are_no_currency(code: str) -> None:
    assert not re.fullmatch(CODE, code)


def test_no_currency_is_listed_twice() -> None:
    assert len(DECIMALS) == 16 + 133 + 7
    assert all(re.fullmatch(CODE, code) and len(code) == 3 for code in DECIMALS)


def test_the_page_lists_the_currencies_without_two_decimals() -> None:
    page = (Path(__file__).parents[4] / "docs" / "api.md").read_text("utf-8")
    for decimals in (0, 3):
        codes = " ".join(sorted(code for code, number in DECIMALS.items() if number == decimals))
        assert f"| {decimals} | {codes} |" in page


def test_a_product_in_an_unknown_currency_is_a_422_that_names_the_field(backend: MemoryBackend) -> None:
    for answer in (
        backend.api.post("/products", {"title": "Lamp", "price": 1, "stock": 1, "currency": "EUX"}),
        backend.api.patch(f"/products/{backend.create_product()}", {"currency": "EUX"}),
    ):
        assert (answer.status, answer.body["errors"][0]["field"]) == (422, "currency")
        assert "ISO 4217" in answer.body["detail"]
