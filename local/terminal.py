"""Text that others wrote, made safe to show on a terminal."""

import re
from typing import Final

from rich.markup import escape

# What a terminal obeys instead of showing it (C0 but for the tab, DEL, C1), and what turns the direction of
# reading or ends a line (https://unicode.org/reports/tr9/).
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with control characters as JSON writes them: `\\u001b` for an escape."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines, which stay such."""
    return "\n".join(visible(line) for line in text.split("\n"))


def plain(text: str) -> str:
    """The text as rich's markup that shows all of it and obeys nothing in it."""
    return escape(visible(text))
