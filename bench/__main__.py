"""`python -m bench NAME...`: measures, prints tables, writes JSON to `.build/bench/`.

Exit code 0 when all limits hold, else 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

from bench.report import console, machine

# In the order of `all`. Benches that need only CPU come before those that fill the machine.
_BENCHES: Final[dict[str, tuple[str, str, str]]] = {
    "cold": ("bench.speed", "cold", "import of every function in fresh processes, against a plain handler"),
    "first": ("bench.speed", "first", "the first call after the import, and the peak memory"),
    "warm": ("bench.speed", "warm", "a warm POST /orders, relative to the plain handler"),
    "memory": ("bench.memory", "memory", "each function's price at several memory sizes, by its CPU"),
    "package": ("bench.package", "package", "sizes of the layer and of the functions' archives"),
    "units": ("bench.units", "units", "billed units and costs of an order; writes docs/cost.md"),
    "growth": ("bench.growth", "growth", "units and time with up to 100,000 orders in the tables"),
    "partitions": ("bench.partitions", "partitions", "simulated writes to the partitions of the indexes"),
    "program": ("bench.program", "program", "the Pulumi program, recorded and deployed"),
    "flow": ("bench.flow", "flow", "each step of one order from POST to FULFILLED on the embedded AWS"),
    "burst": ("bench.burst", "burst", "200, 500 and 2,000 orders at once on the embedded AWS; all: no 2,000"),
    "reports": ("bench.burst", "reports", "200 orders in two parcels on the embedded AWS; calls are lost"),
    "api": ("bench.api", "api", "requests per second of the API on the embedded AWS"),
    "report": ("bench.performance", "report", "writes the last results to docs/performance.md"),
}

_SHORT_BURST: Final = ("bench.burst", "short_burst", "")  # 2,000 orders take longer than all other benches


def main() -> int:
    """Runs the benches that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the speed and the cost of the order backend.",
        epilog="\n".join(f"  {name:10} {text}" for name, (_, _, text) in _BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="+", choices=[*_BENCHES, "all"], metavar="NAME", help="see below, or all"
    )
    given = parser.parse_args().names
    benches = _BENCHES | ({"burst": _SHORT_BURST} if "all" in given else {})
    names = list(_BENCHES) if "all" in given else given
    console.print(f"[dim]{', '.join(machine().values())}[/dim]")
    failed = [name for name in names if not _bench(*benches[name][:2])()]
    if failed:
        console.print(f"[red]failed: {', '.join(failed)}")
    return 1 if failed else 0


def _bench(module: str, function: str) -> Callable[[], bool]:
    bench: Callable[[], bool] = getattr(import_module(module), function)
    return bench


if __name__ == "__main__":
    sys.exit(main())
