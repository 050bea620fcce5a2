"""What the pages on deploying and security refer to is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from local.engine.program import PROJECT_ROOT

DOCS: Final = PROJECT_ROOT / "docs"
PAGES: Final = [
    DOCS / "deploying.md",
    DOCS / "security.md",
    *sorted((DOCS / "decisions").glob("*.md")),
    PROJECT_ROOT / "bootstrap" / "README.md",
    PROJECT_ROOT / "examples" / "billing" / "README.md",
]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


@each_page
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@each_page
def test_a_file_of_the_repository_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", page.read_text())
    for name in named:
        if name.partition("/")[0] in {path.name for path in PROJECT_ROOT.iterdir()}:
            assert (PROJECT_ROOT / name).exists(), name


def test_every_decision_is_dated_and_says_what_else_there_was() -> None:
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    index = (DOCS / "decisions" / "README.md").read_text()
    for decision in decisions:
        text = decision.read_text()
        assert re.search(r"^\d{4}-\d{2}-\d{2} · (accepted|superseded)", text, re.MULTILINE), decision.name
        assert "**Why.**" in text
        assert "**Alternatives.**" in text
        assert f"({decision.name})" in index


def test_every_table_row_of_the_threats_names_what_holds_it() -> None:
    text = (DOCS / "security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 20
    assert [row for row in rows if "`" not in row.rsplit("|", 2)[1]] == []
