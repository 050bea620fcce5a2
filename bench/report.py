"""Figures: their median and spread, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.samples import PROJECT_ROOT

RESULTS: Final = PROJECT_ROOT / ".build" / "bench"

console: Final = Console(width=None if sys.stdout.isatty() else 118)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Repeated measurements of one thing, by their median; the spread is that of the middle half."""

    median: float
    low: float  # first quartile
    high: float  # third quartile
    samples: int

    @staticmethod
    def of(samples: Sequence[float]) -> Figure:
        """The figure of these samples."""
        if len(samples) == 1:
            return Figure(median=samples[0], low=samples[0], high=samples[0], samples=1)
        low, _, high = statistics.quantiles(samples, n=4)
        return Figure(median=statistics.median(samples), low=low, high=high, samples=len(samples))

    def as_json(self) -> dict[str, float]:
        """For the result files."""
        return {"median": self.median, "low": self.low, "high": self.high, "samples": self.samples}

    def text(self, scale: float, digits: int = 1) -> str:
        """`median (low to high)` in units of 1/scale."""
        median, low, high = (f"{value * scale:.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A ratio that must hold, and the one that is aimed at."""

    must: float
    aim: float | None = None

    def judge(self, value: float) -> str:
        """The value, colored by whether it holds."""
        if value > self.must:
            return f"[red]{value:.2f} (must {self.must:.2f})"
        if self.aim is not None and value > self.aim:
            return f"[yellow]{value:.2f} (aim {self.aim:.2f})"
        return f"[green]{value:.2f}"


def machine() -> dict[str, str]:
    """Where and when this is measured."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine()
    )


def write(name: str, result: Mapping[str, Any]) -> None:
    """Keep a result as JSON, with the machine and the date."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n", "utf-8")
    console.print(f"[dim]{target.relative_to(PROJECT_ROOT)}[/dim]")


def read(name: str) -> dict[str, Any] | None:
    """The last result under this name, if there is one."""
    try:
        result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_bytes())
    except OSError:
        return None
    return result


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str | None = None
) -> None:
    """Print a table whose first column is text and whose others are figures."""
    made = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        made.add_row(*row)
    console.print(made)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same for a page."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
