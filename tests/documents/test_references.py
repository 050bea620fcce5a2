"""Every link, path, module and target that a document names exists. Decisions and threats are complete."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from local.engine.program import PROJECT_ROOT

DOCS: Final = PROJECT_ROOT / "docs"


def tracked(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


@cache
def existing() -> frozenset[str]:
    """Returns all files and their folders."""
    files = [Path(name) for name in tracked() if (PROJECT_ROOT / name).exists()]
    return frozenset(str(path) for file in files for path in (file, *file.parents))


PAGES: Final = [PROJECT_ROOT / name for name in tracked("*.md") if (PROJECT_ROOT / name).exists()]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))


def prose(page: Path) -> str:
    """Returns the page without its code blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_a_link_names_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@each_page
def test_a_path_that_is_formatted_as_code_exists(page: Path) -> None:
    top = {name.partition("/")[0] for name in existing()}
    for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)(?::\d+)?`", prose(page)):
        is_path = ("/" in name and name.partition("/")[0] in top) or re.search(
            r"\w\.(py|md|toml|yaml)$", name
        )
        if is_path:
            folder = page.parent.relative_to(PROJECT_ROOT)
            places = {name.rstrip("/"), str(folder / name)}
            assert places & existing() or any(path.endswith(f"/{name}") for path in existing()), name


@each_page
def test_a_module_that_is_run_exists(page: Path) -> None:
    for module in re.findall(r"python -m ([a-z_.]+)", page.read_text()):
        parts = module.rstrip(".").replace(".", "/")
        if parts.partition("/")[0] in existing():
            assert {f"{parts}.py", f"{parts}/__main__.py"} & existing(), module


@each_page
def test_a_make_target_that_is_named_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make ([a-z]+)|`make ([a-z]+)[`; ]", page.read_text(), re.MULTILINE)
    assert {first or second for first, second in named} <= set(targets)


def test_every_decision_has_a_date_a_reason_and_alternatives() -> None:
    decisions = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    index = (DOCS / "decisions" / "README.md").read_text()
    for decision in decisions:
        text = decision.read_text()
        assert re.search(r"^\d{4}-\d{2}-\d{2} · (accepted|superseded)", text, re.MULTILINE), decision.name
        assert "**Why.**" in text
        assert "**Alternatives.**" in text
        assert f"({decision.name})" in index


def test_every_threat_names_the_files_of_its_countermeasure() -> None:
    text = (DOCS / "security.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 20
    assert [row for row in rows if "`" not in row.rsplit("|", 2)[1]] == []


def test_the_commands_that_make_help_lists_exist() -> None:
    text = (PROJECT_ROOT / "Makefile").read_text("utf-8")
    modules = re.findall(r"^# python -m ([\w.]+) +## ", text, re.MULTILINE)
    assert len(modules) > 10
    assert [name for name in modules if find_spec(name) is None] == []
