"""Text of others cannot control the terminal."""

import json

import pytest
from rich.text import Text

from local.terminal import plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x9b31mred", "\\u009b31mred"),
        (
            "bell\x07 back\x08 over\r line\n gone\x7f",
            "bell\\u0007 back\\u0008 over\\u000d line\\u000a gone\\u007f",
        ),
        ("eman\u202e \u2066turned\u2069", "eman\\u202e \\u2066turned\\u2069"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert json.loads(f'"{shown}"') == text  # as JSON writes it


@pytest.mark.parametrize("text", ["Lampe à poser", "שלום", "👩\u200d🔧", "10\xa0€", "a\tb", "C:\\new"])
def test_other_characters_are_not_changed(text: str) -> None:
    assert visible(text) == text


def test_markup_is_printed_as_text() -> None:
    assert Text.from_markup(plain("[bold]\x1b[/]")).plain == "[bold]\\u001b[/]"
