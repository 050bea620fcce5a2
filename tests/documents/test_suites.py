"""tests/README.md has a row for every suite, with its command."""

from __future__ import annotations

import re
from typing import Final

from local.engine.program import PROJECT_ROOT
from tests.times import seconds_of_suites

TESTS: Final = PROJECT_ROOT / "tests"
PAGE: Final = (TESTS / "README.md").read_text("utf-8")


def test_the_table_has_a_row_for_every_folder_with_tests() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \| `(.+)` \|$", PAGE, re.MULTILINE)
    suites = sorted({path.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")})
    assert [suite for suite, _ in rows] == suites
    assert [command for _, command in rows] == [f"pytest tests/{suite}" for suite in suites]


def test_the_seconds_of_a_suite_are_the_sum_of_its_tests() -> None:
    cases = [("bench.test_costs", 0.5), ("bench.test_stub", 2), ("local.memory.test_iam", 1)]
    cases_as_xml = "".join(
        f'<testcase classname="tests.{name}" name="test_a" time="{time}"/>' for name, time in cases
    )
    report = f"<testsuites><testsuite>{cases_as_xml}</testsuite></testsuites>"
    assert seconds_of_suites(report) == {"bench": 2.5, "local": 1}
