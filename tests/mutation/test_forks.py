"""Which mutants can be tested by replacing the code of functions, and with which tests."""

from __future__ import annotations

import pytest

from tests.mutation.forks import _body, _choose, _Run, _swaps
from tests.mutation.mutants import Mutant

SOURCE = """\
LIMIT = 1
class Counter:
    size = 2
    def count(self, start=3):
        number = start + 4
        return [number for _ in range(5)]
def label(counter):
    def text():
        return counter, 6
    return text()
"""


@pytest.mark.parametrize(
    ("old", "new", "functions"),
    [
        ("+ 4", "+ 5", ["Counter.count"]),
        ("range(5)", "range(6)", ["Counter.count"]),
        ("return counter, 6", "return counter, 7", ["label"]),
        (
            "        number = start + 4\n",
            "        number = start\n        number += 5\n",
            ["Counter.count"],
        ),
        ("LIMIT = 1", "LIMIT = 2", None),
        ("size = 2", "size = 3", None),
        ("start=3", "start=4", None),
        ("def label", "@print\ndef label", None),
    ],
)
def test_a_fault_replaces_a_function_unless_it_is_run_at_import(
    old: str, new: str, functions: list[str] | None
) -> None:
    codes = [compile(source, "counter.py", "exec") for source in (SOURCE, SOURCE.replace(old, new))]
    swaps = _swaps(*codes)
    assert (None if swaps is None else [before.co_qualname for before, _ in swaps]) == functions


def test_the_fastest_test_of_the_changed_lines_is_the_first() -> None:
    changed = SOURCE.replace("+ 4", "+ 5")
    codes = [compile(source, "counter.py", "exec") for source in (SOURCE, changed)]
    swaps = _swaps(*codes)
    assert swaps
    assert _body(swaps[0][0]) == {5, 6}
    mutant = Mutant("counter.py", 5, 1, "", "", changed)
    runs = [
        _Run(0, 0.1, frozenset({6})),
        _Run(1, 0.2, frozenset({9})),
        _Run(2, 0.3, frozenset({5, 6})),
        _Run(3, 0.4, frozenset({5})),
    ]
    assert [run.item for run in _choose(runs, mutant, swaps)] == [2, 3, 0]
