"""Makes docs/states.md, the diagram and the table of an order's statuses, from functions/shared/domain/.

`python -m tools.states` writes the page; with `--check` it fails when the page is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from functions.shared.domain.moves import CONDITIONS, LEGAL_MOVES, sources_of
from functions.shared.domain.obligations import owed
from functions.shared.domain.orders import Order, OrderStatus

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "states.md"

_INTRODUCTION: Final = """\
# The statuses of an order

`python -m tools.states` makes this page from `LEGAL_MOVES` and `CONDITIONS` in
functions/shared/domain/moves.py, and from `owed` in obligations.py there.
[architecture.md](architecture.md#one-move-is-one-conditional-write) says how they are used.
"""

_TABLE: Final = """\
The reservation must be as the table says when an order moves to a status. What is owed keeps an order in the
open index. In each status an order also owes the events that are not published yet.

| to | from | the reservation must be | owed then |
|---|---|---|---|"""


def render() -> str:
    """Returns the page."""
    return "\n".join([_INTRODUCTION, "```mermaid", *_diagram(), "```", "", _TABLE, *_rows(), ""])


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {OrderStatus.PENDING}"
    for source in OrderStatus:
        targets: list[str] = [status for status in OrderStatus if status in LEGAL_MOVES[source]]
        yield from (f"    {source} --> {target}" for target in targets or ["[*]"])


def _rows() -> Iterator[str]:
    for status in OrderStatus:
        sources = ", ".join(f"`{source}`" for source in sources_of(status))
        yield f"| `{status}` | {sources} | {CONDITIONS[status].stock} | {_owed_in(status)} |"


def _owed_in(status: OrderStatus) -> str:
    order = Order("o", "u", [], status, [], 1, "", "")
    asked = Order("o", "u", [], status, [], 1, "", "", cancel_requested_at="")
    first, instead = owed(order), owed(asked)
    if first is None:
        return ""
    return first if instead is first else f"{first}; {instead} if a client asked to cancel"


def main(arguments: list[str]) -> int:
    """Writes the page; with `--check`, compares it instead. Returns the exit code."""
    if "--check" not in arguments:
        DOCUMENT.write_text(render(), "utf-8")
    elif not DOCUMENT.is_file() or DOCUMENT.read_text("utf-8") != render():
        print("docs/states.md is stale: run `python -m tools.states`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
