"""Prints, at the end of the run, how much of the state machine was run."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the coverage that the tests recorded."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for name, value in report.user_properties:
                    if name.startswith("path coverage"):
                        terminalreporter.write_line(f"{name}: {value}")
