"""docs/states.md matches the domain and has every move."""

import re
from pathlib import Path

import pytest

from functions.shared.domain.moves import LEGAL_MOVES
from functions.shared.domain.orders import OrderStatus
from tools import states

PAGE = states.DOCUMENT.read_text("utf-8")


def test_the_page_is_up_to_date() -> None:
    assert states.render() == PAGE, "run `python -m tools.states`"


def test_the_diagram_has_every_move_and_no_other() -> None:
    drawn = set(re.findall(r"^    ([A-Z_]+) --> ([A-Z_]+)$", PAGE, re.MULTILINE))
    assert drawn == {(source, target) for source, targets in LEGAL_MOVES.items() for target in targets}


def test_an_order_starts_pending_and_ends_where_no_move_follows() -> None:
    assert "    [*] --> PENDING\n" in PAGE
    ends = set(re.findall(r"^    ([A-Z_]+) --> \[\*\]$", PAGE, re.MULTILINE))
    assert ends == {status for status in OrderStatus if not LEGAL_MOVES[status]}


@pytest.mark.parametrize(
    ("status", "owed"),
    [
        ("VALIDATED", "attempt"),
        ("IN_FULFILLMENT", "word; cancellation if a client asked to cancel"),
        ("DELIVERED", ""),
    ],
)
def test_a_status_has_what_is_owed_in_it(status: str, owed: str) -> None:
    assert re.search(rf"^\| `{status}` \|.*\| {owed} \|$", PAGE, re.MULTILINE)


def test_a_stale_page_is_found_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(states, "DOCUMENT", tmp_path / "states.md")
    assert states.main(["--check"]) == 1
    assert capsys.readouterr().err == "docs/states.md is stale: run `python -m tools.states`.\n"
    assert states.main([]) == 0
    assert states.main(["--check"]) == 0
