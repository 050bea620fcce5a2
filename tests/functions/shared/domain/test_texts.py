"""A text that matches its pattern still matches after the API removed the white space around it."""

from __future__ import annotations

import re
import string
import sys

import msgspec
import pytest

from functions.shared.domain.texts import EMAIL, FILLED_LINES, LINE, LINES, Line, ShortLine
from tests.functions.shared.domain.samples import mistakes

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


@pytest.mark.parametrize("pattern", [FILLED_LINES, LINE, LINES], ids=["filled lines", "line", "lines"])
def test_a_text_has_any_visible_character_and_none_of_direction(pattern: str) -> None:
    visible = string.ascii_letters + string.digits + string.punctuation
    assert re.search(pattern, visible)
    assert not re.search(pattern, f"{visible}\u202e")


def test_an_address_has_any_visible_character() -> None:
    visible = string.ascii_letters + string.digits + string.punctuation.replace("@", "")
    assert re.search(EMAIL, f"{visible}@{visible}")


class Texts(msgspec.Struct):
    line: Line = "x"
    short_line: ShortLine = "x"


@pytest.mark.parametrize(("name", "longest"), [("line", 200), ("short_line", 64)])
def test_a_text_on_one_line_has_a_longest_length(name: str, longest: int) -> None:
    for valid in ("x", "x" * longest):
        assert mistakes(Texts, {name: valid}) == []
    expected = f"expected a text on one line of 1 to {longest} characters"
    for invalid in ("", " ", "a\nb", "x" * (longest + 1)):
        assert mistakes(Texts, {name: invalid}) == [(name, expected)]
