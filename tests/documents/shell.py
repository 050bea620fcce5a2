"""The shell commands of a document."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = re.compile(r"^( *)```(?P<language>\w*)\n(?P<text>.*?)^\1```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
PROGRAMS = ("aws ", "curl ", "git ", "grep ", "pulumi ", "python ", "while ", "for ")
"""How a text that is formatted as code starts if it is a command."""


class Command(NamedTuple):
    """A command, and the text of the document before it."""

    text: str
    before: str


def commands(document: str) -> Iterator[Command]:
    """Yield the commands of `sh` blocks, of lines that start with `$ `, and of code within sentences."""
    found: list[tuple[int, str]] = []
    for block in _BLOCK.finditer(document):
        joined = re.sub(r"\\\n", lambda _: "\\\v", block["text"])  # keeps the length
        position = block.start("text")
        for line in joined.split("\n"):
            if block["language"] == "sh" or line.lstrip().startswith("$ "):
                text = " ".join(line.strip().removeprefix("$ ").replace("\\\v", " ").split(" "))
                if text and not text.startswith("#"):
                    found.append((position, re.sub(r"\s+", " ", text)))
            position += len(line) + 1
    prose = _BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), document)
    for inline in _INLINE.finditer(prose):
        text = " ".join(inline[1].split())
        if text.startswith(PROGRAMS):
            found.append((inline.start(), text))
    for position, text in sorted(found):
        yield Command(text, document[:position])


def words(command: str) -> list[str]:
    """Return the words of a command, up to a comment or the next command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            break
        found.append(word)
    return found


def sections(document: str) -> dict[str, str]:
    """Return the text under each heading of the second level."""
    parts = re.split(r"^## (.+)$", document, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
