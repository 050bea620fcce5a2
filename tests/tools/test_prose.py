"""The check finds listed words in every kind of text and accepts allowed ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.prose import ALLOWED, MAX_WORDS, ROOT, check, check_text, main, sentences

LONG = " ".join(["word"] * (MAX_WORDS + 1))


def messages(path: str, text: str) -> list[str]:
    return [f"{found.line}: {found.message}" for found in check_text(path, text)]


def test_every_exception_is_still_needed() -> None:
    for path, words in ALLOWED:
        assert words in " ".join((ROOT / path).read_text("utf-8").split()), (path, words)


@pytest.mark.parametrize(
    "text",
    [
        '"""Nobody is here."""\n',
        "x = 1  # what nobody reads\n",
        'raise ValueError("nobody")\n',
        "def test_that_nobody_calls(): ...\n",
        "NOBODY = 1\n",
    ],
    ids=["docstring", "comment", "string", "test name", "constant"],
)
def test_a_listed_word_is_found_in_every_part_of_python_code(text: str) -> None:
    assert [found[:2] for found in messages("a.py", text)] == ["1:"]


@pytest.mark.parametrize("path", ["README.md", "Pulumi.yaml", "Makefile", "statemachines/a.asl.json"])
def test_a_listed_word_is_found_in_files_of_every_kind(path: str) -> None:
    assert messages(path, "fine\nthe warehouse\n") == ["2: “warehouse”: write: fulfillment system"]


def test_a_phrase_is_found_across_lines_of_a_comment() -> None:
    assert messages("a.py", "# to the\n#   world\n")[0].startswith("1: ")


def test_a_word_that_contains_a_listed_word_is_no_finding() -> None:
    assert messages("a.md", "The intelligent reminder of the mastermind is retold.") == []


def test_looks_up_is_accepted() -> None:
    assert messages("a.md", "It looks up the order.") == []
    assert len(messages("a.md", "It looks at the order.")) == 1


@pytest.mark.parametrize(
    "source",
    [f'"""{LONG}."""', f'def f():\n    """{LONG}."""', f'class A:\n    """Short.\n\n    {LONG}.\n    """'],
    ids=["module", "function", "second paragraph of a class"],
)
def test_a_docstring_s_sentence_has_at_most_25_words(source: str) -> None:
    assert len(messages("a.py", source)) == 1
    assert messages("a.py", source.replace(LONG, LONG.removeprefix("word "))) == []


def test_code_within_a_sentence_counts_as_one_word() -> None:
    assert messages("a.py", f'"""Run `{LONG}` now."""') == []


def test_a_string_that_is_no_docstring_may_be_long() -> None:
    assert messages("a.py", f'x = "{LONG}."') == []


def test_a_sentence_of_markdown_has_at_most_25_words_and_its_line_is_named() -> None:
    assert [found[:2] for found in messages("a.md", f"# Title\n\nShort.\n{LONG}.\n")] == ["4:"]


@pytest.mark.parametrize(
    "text", [f"| {LONG} |", f"```\n{LONG}\n```", f"    {LONG}"], ids=["table", "code", "indented"]
)
def test_tables_and_code_have_no_sentences(text: str) -> None:
    assert messages("a.md", text) == []


def test_sentences_end_at_their_mark_at_a_blank_line_and_at_a_list_item() -> None:
    text = 'One `a.b` is here. "Two!" Three\nruns on:\n- four\n- five\n\nsix'
    found = [" ".join(sentence.split()) for _, sentence in sentences(text)]
    assert found == ["One `a.b` is here.", '"Two!', "Three runs on", "four", "five", "six"]
    assert [line for line, _ in sentences(text)] == [0, 0, 0, 2, 3, 5]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one finding in each of two folders."""
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "page.md").write_text("nobody\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_all_folders_or_only_the_named_ones_are_checked(repository: Path) -> None:
    assert [found.path for found in check([], repository)] == ["new/page.md", "old/page.md"]
    assert [found.path for found in check(["old"], repository)] == ["old/page.md"]


def test_the_command_prints_the_place_of_a_finding_and_fails(
    capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    assert main(["old"], repository) == 1
    assert capsys.readouterr().out.startswith("old/page.md:1: “nobody”: ")


def test_the_command_passes_without_a_finding(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    (repository / "new" / "page.md").write_text("Fine.\n")
    assert main(["new"], repository) == 0
    assert capsys.readouterr().out == ""


def test_a_path_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    assert main(["missing"], repository) == 2
    assert capsys.readouterr().err == "missing: no such file or folder\n"
