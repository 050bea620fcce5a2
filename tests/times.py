"""Prints the seconds of each suite: `python -m tests.times REPORT`, with a report of `pytest --junitxml`."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree


def seconds_of_suites(report: str) -> dict[str, float]:
    """Returns the seconds of each folder of tests/, with setup and teardown."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for case in ElementTree.fromstring(report).iter("testcase"):  # noqa: S314  pytest wrote it
        seconds[case.attrib["classname"].split(".")[1]] += float(case.attrib["time"])
    return dict(sorted(seconds.items()))


if __name__ == "__main__":
    for suite, taken in seconds_of_suites(Path(sys.argv[1]).read_text("utf-8")).items():
        print(f"{suite:14} {taken:6.1f} s")
