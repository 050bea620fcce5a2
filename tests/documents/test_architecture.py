"""The table of moves on the page of the architecture."""

from __future__ import annotations

import re

from functions.shared.domain.moves import CONDITIONS, sources_of
from functions.shared.domain.orders import OrderStatus
from local.engine.program import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_table_of_moves_has_every_move_with_its_condition() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [(to, set(re.findall("[A-Z_]+", sources)), stock) for to, sources, stock in rows] == [
        (status, set(sources_of(status)), CONDITIONS[status].stock) for status in OrderStatus
    ]
