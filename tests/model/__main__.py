"""`python -m tests.model [--large]`: prints the states of each scope of the model."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import time
from pathlib import Path

from tests.model.explore import LARGE_SCOPES, SCOPES, explore


def main() -> None:
    """Explores all scopes, and prints a line for each. Raises `Violation`."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description="Explore the model.")
    parser.add_argument("--large", action="store_true", help="explore the scopes that take minutes")
    scopes = LARGE_SCOPES if parser.parse_args().large else SCOPES
    logging.disable(logging.CRITICAL)
    for name, scope in scopes.items():
        began = time.process_time()
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
            explored = explore(scope)
        seconds = time.process_time() - began
        print(f"{name}: {explored.states:,} states, {explored.steps:,} steps, {seconds:.0f} s")


if __name__ == "__main__":
    main()
