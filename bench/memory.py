"""Prices each function at several memory sizes, by the CPU that its calls use.

Lambda's share of CPU grows with the memory: 1,769 MB have one vCPU. A call takes its CPU time divided by the
share, and waits for the AWS services it calls. So with more memory the CPU's part gets shorter at the same
price. The waits stay as long and cost more.
Source (2026-11-28): https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bench.prices import PRICES
from bench.processes import child, environment
from bench.report import table, write
from bench.samples import EVENTS, function_packages
from bench.stub import aws_stub, count_calls

SIZES: Final = (128, 256, 512, 1024)  # MB
BUDGET: Final = 2.0  # seconds that the first call of a new environment may take, with its import
WAIT: Final = 0.005  # seconds; assumed for each call of an AWS service

# Calls of a fulfilled order, in full batches.
ORDER: Final[Mapping[str, float]] = {
    "orders_api": 1,
    "order_consumer": 0.1,
    "validate_order": 1,
    "fulfill_order": 1,
    "update_order_status": 2,
}

_WHOLE_CPU: Final = 1769  # MB
_LARGEST_USE: Final = 0.75  # of the memory
_ROUNDS: Final = 5
_WARM_UP: Final = 20
_CALLS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one function uses: seconds of CPU, calls of AWS services per invocation, bytes of memory."""

    cold: float  # the import and the first call
    warm: float  # a later call
    calls: float
    peak: int

    def first_call(self, memory: int) -> float:
        """Returns the seconds until a new environment with so many MB has answered."""
        return self._seconds(self.cold, memory)

    def later_call(self, memory: int) -> float:
        """Returns the seconds that Lambda bills for a warm call with so many MB."""
        return self._seconds(self.warm, memory)

    def price(self, memory: int) -> float:
        """Returns the USD for the duration of a million warm calls with so many MB."""
        return PRICES["gbSeconds"].of(self.later_call(memory) * memory / 1024 * 1e6)

    def cheapest(self, budget: float = BUDGET) -> int:
        """Returns the cheapest of `SIZES` whose first call takes at most `budget` seconds.

        It is the largest size if none is that fast. A size that the peak would fill is not considered.
        """
        fit = [
            size
            for size in SIZES
            if self.first_call(size) <= budget and self.peak <= _LARGEST_USE * size * 1024**2
        ]
        return min(fit, key=self.price, default=SIZES[-1])

    def _seconds(self, cpu: float, memory: int) -> float:
        return cpu / min(memory / _WHOLE_CPU, 1.0) + self.calls * WAIT


def memory() -> bool:
    """Measures and prices every function, and prints the cheapest sizes. Returns True."""
    uses: dict[str, Use] = {}
    with aws_stub() as endpoint:
        variables = environment(endpoint)
        for package in function_packages():
            uses[package.removeprefix("functions.")] = _measure(package, endpoint, variables)
    results = {name: asdict(use) for name, use in uses.items()}
    columns, rows = prices(results)
    table("Memory: first call in ms, and USD for the duration of a million warm calls", columns, rows)
    write("memory", {"functions": results})
    return True


def _measure(package: str, endpoint: str, variables: Mapping[str, str]) -> Use:
    """Returns the medians of fresh processes that import the handler and call it repeatedly."""
    cold, warm, peaks, calls = [], [], [], 0.0
    for _ in range(_ROUNDS):
        with child(package, variables) as process:
            first = process.call(EVENTS[package])
            cold.append(process.imported.cpu[0] + first.cpu[0])
            process.call(EVENTS[package], _WARM_UP)
            before = count_calls(endpoint)
            later = process.call(EVENTS[package], _CALLS)
            calls = (count_calls(endpoint) - before) / _CALLS
            warm.append(statistics.median(later.cpu))
            peaks.append(later.peak)
    return Use(cold=statistics.median(cold), warm=statistics.median(warm), calls=calls, peak=max(peaks))


def prices(functions: Mapping[str, Mapping[str, Any]]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Returns columns and rows of the table, for the results that `memory` writes."""
    uses = {name: Use(**result) for name, result in functions.items()}
    uses["an order"] = Use(
        cold=sum(uses[name].cold for name in ORDER),
        warm=sum(calls * uses[name].warm for name, calls in ORDER.items()),
        calls=sum(calls * uses[name].calls for name, calls in ORDER.items()),
        peak=0,
    )
    rows = []
    for name, use in uses.items():
        at_sizes = [f"{use.first_call(size) * 1e3:.0f}; {use.price(size):.2f}" for size in SIZES]
        text = f"`{name}`" if name in functions else f"**{name}**"
        cheapest = str(use.cheapest()) if name in functions else ""
        rows.append([text, f"{use.warm * 1e3:.2f}", f"{use.calls:g}", *at_sizes, cheapest])
    columns = ["function", "warm CPU, ms", "AWS calls", *(f"{size} MB" for size in SIZES), "cheapest, MB"]
    return columns, rows
