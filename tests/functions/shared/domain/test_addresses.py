"""Where an order may go."""

from __future__ import annotations

import itertools
import re
import string

import pytest

from functions.shared.domain.addresses import COUNTRIES


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
