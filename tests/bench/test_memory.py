"""Prices of memory sizes: their rule, and the default that follows from the measurements."""

from __future__ import annotations

import pytest
import yaml  # type: ignore[import-untyped]

from bench.memory import Use
from bench.performance import DOCUMENT
from bench.samples import PROJECT_ROOT

SMALL = 40 * 1024**2


def test_a_call_takes_its_cpu_divided_by_the_share_and_the_waits() -> None:
    use = Use(cold=0.2, warm=0.010, calls=2, peak=SMALL)

    assert use.later_call(1769) == pytest.approx(0.010 + 0.010)
    assert use.later_call(3538) == use.later_call(1769), "one thread has at most one vCPU"
    assert use.first_call(128) == pytest.approx(0.2 * 1769 / 128 + 0.010)


def test_only_waiting_gets_dearer_with_more_memory() -> None:
    computes = Use(cold=0.2, warm=0.010, calls=0, peak=SMALL)
    waits = Use(cold=0.2, warm=0.0, calls=2, peak=SMALL)

    assert computes.price(1024) == pytest.approx(computes.price(128))
    assert waits.price(1024) == pytest.approx(8 * waits.price(128))
    assert waits.price(1024) == pytest.approx(0.010 * 1e6 * 0.0000133334)


@pytest.mark.parametrize(
    ("cold", "peak", "size"),
    [(0.1, SMALL, 128), (0.2, SMALL, 256), (0.1, 100 * 1024**2, 256), (0.4, SMALL, 512), (9.0, SMALL, 1024)],
)
def test_the_cheapest_size_is_fast_enough_and_large_enough(cold: float, peak: int, size: int) -> None:
    assert Use(cold=cold, warm=0.010, calls=2, peak=peak).cheapest(budget=2.0) == size


def test_the_default_memory_is_the_largest_of_the_functions_cheapest_sizes() -> None:
    section = DOCUMENT.read_text("utf-8").partition("\n## Memory\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    cheapest = [int(row.rstrip("| ").rpartition("|")[2]) for row in rows]
    functions = [*PROJECT_ROOT.glob("functions/*/handler.py")]
    default = yaml.safe_load((PROJECT_ROOT / "Pulumi.yaml").read_text("utf-8"))["config"]["functionMemoryMb"]

    assert len(cheapest) == len(functions), "run `python -m bench memory report`"
    assert default["default"] == max(cheapest)
