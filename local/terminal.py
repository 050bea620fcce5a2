"""What the commands share on a terminal: text that is safe to print, and the option --version."""

import re
from typing import Annotated, Final

import typer
from rich.markup import escape

from local.environment import project_version

# Control characters (C0 without the tab, DEL, C1), and characters that change the text direction or end a
# line (https://unicode.org/reports/tr9/).
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Returns the text with control characters as JSON writes them: `\u001b` for an escape."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_lines(text: str) -> str:
    """As `visible`, but keeps the line breaks."""
    return "\n".join(visible(line) for line in text.split("\n"))


def plain(text: str) -> str:
    """Returns rich markup that prints the text literally."""
    return escape(visible(text))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"orderflow {project_version()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
]
"""The option of a command's program that prints the project's version."""
