"""Reports figures with median and spread, as a printed table and as JSON."""

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
    """The median of repeated measurements, and the spread of their middle half."""

    median: float
    low: float  # first quartile
    high: float  # third quartile
    samples: int

    @staticmethod
    def of(samples: Sequence[float]) -> Figure:
        """Returns the figure of these samples."""
        if len(samples) == 1:
            return Figure(median=samples[0], low=samples[0], high=samples[0], samples=1)
        low, _, high = statistics.quantiles(samples, n=4)
        return Figure(median=statistics.median(samples), low=low, high=high, samples=len(samples))

    def as_json(self) -> dict[str, float]:
        """Returns the figure for the result files."""
        return {"median": self.median, "low": self.low, "high": self.high, "samples": self.samples}

    def text(self, scale: float, digits: int = 1) -> str:
        """Returns `median (low to high)` in units of 1/scale."""
        median, low, high = (f"{value * scale:.{digits}f}" for value in (self.median, self.low, self.high))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The upper limit of a figure, and its target."""

    must: float
    aim: float | None = None

    def colored(self, value: float) -> str:
        """Returns the value with a color: red above the limit, yellow above the target, else green."""
        if value > self.must:
            return f"[red]{value:.2f} (limit {self.must:.2f})"
        if self.aim is not None and value > self.aim:
            return f"[yellow]{value:.2f} (target {self.aim:.2f})"
        return f"[green]{value:.2f}"


def machine() -> dict[str, str]:
    """Returns the machine and the date of the measurement."""
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
    """Writes a result as JSON, with the machine and the date."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n", "utf-8")
    console.print(f"[dim]{target.relative_to(PROJECT_ROOT)}[/dim]")


def read(name: str) -> dict[str, Any] | None:
    """Returns the last result of this name, or None."""
    try:
        result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_bytes())
    except OSError:
        return None
    return result


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str | None = None
) -> None:
    """Prints a table whose first column is text and whose others are figures."""
    printed = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        printed.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        printed.add_row(*row)
    console.print(printed)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
