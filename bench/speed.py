"""Cold start, first call, warm call: every function against the plain handler, in one interleaved run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from bench.processes import Calls, Run, child, environment, run_python
from bench.report import Figure, Limit, console, table, write
from bench.samples import EVENTS, function_packages
from bench.stub import aws_stub

PLAIN: Final = "bench.plain"
SUBJECT: Final = "functions.orders_api"
ROUNDS: Final = 21
WARM_UP: Final = 30
WARM_CALLS: Final = 300
WARM_BLOCK: Final = 10
WARM_PAIRS: Final = 5

COLD: Final = Limit(must=1.2, aim=0.95)
COLD_OTHERS: Final = Limit(must=1.2)
FIRST: Final = Limit(must=1.5, aim=1.2)
WARM: Final = Limit(must=1.2, aim=1.0)
PEAK: Final = Limit(must=1.2, aim=1.05)


def cold(rounds: int = ROUNDS) -> bool:
    """Fresh processes that import a handler and end; answers whether every limit holds."""
    packages = [PLAIN, *function_packages()]
    runs: dict[str, list[Run]] = {package: [] for package in packages}
    with aws_stub() as endpoint:
        variables = environment(endpoint)
        for number in range(-1, rounds):  # the first round writes the bytecode
            for package in _rotated(packages, number):
                run = run_python(["-c", f"import {package}.handler"], variables)
                if number >= 0:
                    runs[package].append(run)
    figures = {
        package: {
            "wall": Figure.of([run.wall for run in of]),
            "user": Figure.of([run.user for run in of]),
            "cpu": Figure.of([run.cpu for run in of]),
        }
        for package, of in runs.items()
    }
    ratios = {
        package: {kind: figure.median / figures[PLAIN][kind].median for kind, figure in by_kind.items()}
        for package, by_kind in figures.items()
    }
    limits = {package: COLD if package == SUBJECT else COLD_OTHERS for package in packages}
    rows = [
        [
            package,
            figures[package]["wall"].text(1000, 0),
            figures[package]["user"].text(1000, 0),
            limits[package].judge(ratios[package]["wall"]),
            limits[package].judge(ratios[package]["user"]),
        ]
        for package in packages
    ]
    table(
        f"Cold: a fresh process imports the handler and ends, {rounds} interleaved runs, ms",
        ["handler", "wall", "user CPU", "wall ratio", "user CPU ratio"],
        rows,
        "median (middle half); the interpreter's own start is in all of them",
    )
    write("cold", _as_json(figures, ratios))
    return all(
        ratios[package][kind] <= limits[package].must for package in packages for kind in ("wall", "user")
    )


def first(rounds: int = ROUNDS) -> bool:
    """Fresh processes that import a handler and call it once; answers whether every limit holds."""
    packages = [PLAIN, *(package for package in function_packages() if package in EVENTS)]
    imports: dict[str, list[Calls]] = {package: [] for package in packages}
    calls: dict[str, list[Calls]] = {package: [] for package in packages}
    with aws_stub() as endpoint:
        variables = environment(endpoint)
        for number in range(rounds):
            for package in _rotated(packages, number):
                with child(package, variables) as process:
                    imports[package].append(process.imported)
                    calls[package].append(process.call(EVENTS[package]))
    figures = {
        package: {
            "cpu": Figure.of([call.cpu[0] for call in calls[package]]),
            "wall": Figure.of([call.wall[0] for call in calls[package]]),
            "importAndFirst": Figure.of(
                [
                    load.cpu[0] + call.cpu[0]
                    for load, call in zip(imports[package], calls[package], strict=True)
                ]
            ),
            "peak": Figure.of([float(call.peak) for call in calls[package]]),
        }
        for package in packages
    }
    ratios = {
        package: {kind: figure.median / figures[PLAIN][kind].median for kind, figure in by_kind.items()}
        for package, by_kind in figures.items()
    }
    rows = []
    for package in packages:
        judged = package == SUBJECT
        ratio, figure = ratios[package], figures[package]
        rows.append(
            [
                package,
                figure["cpu"].text(1000),
                figure["importAndFirst"].text(1000, 0),
                figure["peak"].text(1 / 1e6, 1),
                FIRST.judge(ratio["cpu"]) if judged else f"{ratio['cpu']:.2f}",
                f"{ratio['importAndFirst']:.2f}",
                PEAK.judge(ratio["peak"]) if judged else f"{ratio['peak']:.2f}",
            ]
        )
    table(
        f"First: the first call after the import, {rounds} interleaved fresh processes",
        ["handler", "first CPU, ms", "import + first CPU, ms", "peak, MB", "first", "import + first", "peak"],
        rows,
        "median (middle half); ratios to the plain handler, which makes the calls of orders_api",
    )
    write("first", _as_json(figures, ratios))
    return ratios[SUBJECT]["cpu"] <= FIRST.must and ratios[SUBJECT]["peak"] <= PEAK.must


def warm(pairs: int = WARM_PAIRS) -> bool:
    """Warm calls of POST /orders, in alternating blocks; answers whether the limit holds.

    Several pairs of processes, for the layout of memory differs from one process to the next.
    """
    medians: dict[str, list[float]] = {PLAIN: [], SUBJECT: []}
    with aws_stub() as endpoint:
        variables = environment(endpoint)
        for _ in range(pairs):
            with child(PLAIN, variables) as plain, child(SUBJECT, variables) as subject:
                processes = {PLAIN: plain, SUBJECT: subject}
                samples: dict[str, list[float]] = {PLAIN: [], SUBJECT: []}
                for block in range((WARM_UP + WARM_CALLS) // WARM_BLOCK):
                    for package in _rotated([PLAIN, SUBJECT], block):
                        cpu = processes[package].call(EVENTS[package], WARM_BLOCK).cpu
                        if block >= WARM_UP // WARM_BLOCK:
                            samples[package].extend(cpu)
                for package, of in samples.items():
                    medians[package].append(statistics.median(of))
    figures = {package: {"cpu": Figure.of(of)} for package, of in medians.items()}
    ratios = [ours / plain for ours, plain in zip(medians[SUBJECT], medians[PLAIN], strict=True)]
    ratio = statistics.median(ratios)
    table(
        f"Warm: CPU of POST /orders, {pairs} pairs of processes, {WARM_CALLS} calls each after {WARM_UP}",
        ["handler", "CPU, ms", "ratio"],
        [
            [PLAIN, figures[PLAIN]["cpu"].text(1000, 2), "1.00"],
            [SUBJECT, figures[SUBJECT]["cpu"].text(1000, 2), WARM.judge(ratio)],
        ],
        "median (middle half) of the processes' medians; "
        f"the pairs' ratios: {min(ratios):.2f} to {max(ratios):.2f}",
    )
    write("warm", _as_json(figures, {SUBJECT: {"cpu": ratio}}))
    return ratio <= WARM.must


def _rotated(packages: Sequence[str], by: int) -> list[str]:
    """The packages in another order each round, so that none always runs behind the same one."""
    start = by % len(packages)
    return [*packages[start:], *packages[:start]]


def _as_json(
    figures: Mapping[str, Mapping[str, Figure]], ratios: Mapping[str, Mapping[str, float]]
) -> dict[str, object]:
    return {
        "seconds": {
            package: {kind: figure.as_json() for kind, figure in by_kind.items()}
            for package, by_kind in figures.items()
        },
        "ratios": ratios,
    }


def explain() -> None:
    """Say what the ratios are against."""
    console.print("[dim]Ratios are to bench/plain/handler.py, measured in the same run.[/dim]")
