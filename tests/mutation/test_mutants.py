"""The mutants, and the table of the tests that must kill them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.mutation import mutants
from tests.mutation.mutants import ROOT, mutants_of
from tests.mutation.selection import COMPLETE, TESTS

SOURCE = '''
from functions.shared.domain.errors import NotFound

TABLE = {"a": 1, "b": 2}


def write(attempt: int | None) -> str:
    """Text."""
    if attempt is not None:
        update = builder().set("x").require("attempt")
    logger.info("a line for people")
    if attempt == 1:
        raise NotFound("there is no order")
    return update
'''


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """The lines of each mutant of `SOURCE`, before and after."""
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    errors = tmp_path / "functions" / "shared" / "domain" / "errors.py"
    errors.parent.mkdir(parents=True)
    errors.write_text("class NotFound(Exception): ...")
    (tmp_path / "source.py").write_text(SOURCE)
    mutants._errors.cache_clear()
    found = {(mutant.before, mutant.after) for mutant in mutants_of("source.py")}
    mutants._errors.cache_clear()
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('TABLE = {"a": 1, "b": 2}', 'TABLE = {"b": 2}'),
        ('TABLE = {"a": 1, "b": 2}', 'TABLE = {"a": 2, "b": 2}'),
        ('update = builder().set("x").require("attempt")', 'update = builder().set("x")'),
        ("if attempt is not None:", "if attempt is None:"),
        ("if attempt == 1:", "if attempt != 1:"),
        ('raise NotFound("there is no order")', "pass"),
        ("return update", "return None"),
    ],
)
def test_a_fault_has_a_mutant(changes: set[tuple[str, str]], before: str, after: str) -> None:
    assert (before, after) in changes


def test_text_for_people_log_lines_and_annotations_have_no_mutants(changes: set[tuple[str, str]]) -> None:
    assert not [after for _, after in changes if "XXthere" in after]
    assert not [before for before, _ in changes if before.startswith(("def", "from", "logger", '"""'))]


def test_every_file_of_the_flow_is_in_the_table() -> None:
    folders = (
        "shared/domain",
        "shared/persistence",
        "validate_order",
        "release_order",
        "update_order_status",
        "requeue_stalled_orders",
    )
    flow = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / "functions" / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    assert flow <= TESTS.keys()


def test_the_files_that_ci_tests_are_those_whose_last_run_is_documented() -> None:
    table = Path(__file__).with_name("README.md").read_text("utf-8").partition("## Last runs")[2]
    assert set(re.findall(r"(?m)^\| `(\S+)`", table)) == COMPLETE
    assert TESTS.keys() >= COMPLETE


def test_every_file_and_test_of_the_table_exists() -> None:
    for file, tests in TESTS.items():
        for path in (file, *tests):
            assert (ROOT / path).exists(), path
