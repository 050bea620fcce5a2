"""Texts that people write: names, titles, descriptions.

The API removes white space at their beginning and end. Control characters and characters that change the
direction of the text around them are refused (Unicode Standard Annex 9, section 2).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

_NO_DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
LINE = rf"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f\u2028\u2029{_NO_DIRECTION}]*(?!\n)$"
"""The pattern of a text on one line, which is not blank."""
Line = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, pattern=LINE, description="a text on one line")
]
"""A name or a title."""
ShortLine = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=LINE, description="a text on one line")
]
"""A text that is also a key, or is stored with every change."""
LINES = rf"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f{_NO_DIRECTION}]*$"
"""The pattern of a text with line breaks."""
FILLED_LINES = rf"^(?=[\s\S]*\S){LINES[1:]}"
"""The pattern of a text with line breaks, which is not blank."""
# One @ with characters on both sides: only a mail can verify an address. 254 is the longest address in SMTP
# (RFC 5321, section 4.5.3.1.3). White space and controls are listed one by one, because `\s` differs between
# the languages that read the contract. None may be left for `str.strip` to remove from a valid address.
_NO_SPACE = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
EMAIL = rf"^[^@{_NO_SPACE}{_NO_DIRECTION}]+@[^@{_NO_SPACE}{_NO_DIRECTION}]+(?!\n)$"
"""The pattern of an e-mail address."""
