"""A text that matches its pattern still matches after the API removed the white space around it."""

from __future__ import annotations

import re
import sys

import pytest

from functions.shared.domain.texts import EMAIL, FILLED_LINES, LINE

REMOVED = [character for character in map(chr, range(sys.maxunicode + 1)) if not character.strip()]


@pytest.mark.parametrize("pattern", [EMAIL, FILLED_LINES, LINE], ids=["email", "lines", "line"])
def test_a_valid_text_stays_valid_without_the_white_space_around_it(pattern: str) -> None:
    assert "\u0085" in REMOVED
    for space in REMOVED:
        for text in (space, 3 * space, f"{space}@b", f"a@{space}", f"{space}a@b{space}", f"a{space}@b"):
            assert not re.search(pattern, text) or re.search(pattern, text.strip()), ascii(text)


@pytest.mark.parametrize("character", ["\u0085", "\u00a0", "\u2028", "\u202e", "\u200f", "\u3000"])
def test_an_address_has_no_white_space_and_no_character_of_direction(character: str) -> None:
    assert not re.search(EMAIL, f"a{character}b@example.com")
    assert not re.search(EMAIL, f"a@example{character}.com")
