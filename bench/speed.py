"""Cold start, first call, warm call: every function against the plain handler, in one interleaved run."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.processes import Calls, Run, child, environment, run_python
from bench.report import Figure, Limit, table, write
from bench.samples import EVENTS, PROJECT_ROOT, function_packages
from bench.stub import aws_stub

_LAYER_PACKAGES: Final = ("aws_lambda_powertools", "jmespath", "msgspec", "typing_extensions")

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
    """Fresh processes that import a handler and end; answers whether every limit holds.

    Beside the judged figures stands the import as in Lambda, where archive and layer hold no bytecode and
    cannot be written to.
    """
    packages = [PLAIN, *function_packages()]
    sources = {package: f"{package}, no bytecode" for package in (PLAIN, SUBJECT)}
    runs: dict[str, list[Run]] = {name: [] for name in (*packages, *sources.values())}
    with aws_stub() as endpoint, _without_bytecode() as folder:
        variables = environment(endpoint)
        bare = environment(endpoint, path=folder, PYTHONDONTWRITEBYTECODE="1")
        for number in range(-1, rounds):  # the first round writes the bytecode
            for package in _rotated(packages, number):
                measured = [(package, variables)]
                if package in sources:
                    measured.append((sources[package], bare))
                for name, given in measured:
                    run = run_python(["-P", "-c", f"import {package}.handler"], given)
                    if number >= 0:
                        runs[name].append(run)
    figures = {
        name: {
            "wall": Figure.of([run.wall for run in of]),
            "user": Figure.of([run.user for run in of]),
            "cpu": Figure.of([run.cpu for run in of]),
        }
        for name, of in runs.items()
    }
    ratios = {
        name: {
            kind: figure.median / figures[sources[PLAIN] if name in sources.values() else PLAIN][kind].median
            for kind, figure in by_kind.items()
        }
        for name, by_kind in figures.items()
    }
    limits = {package: COLD if package == SUBJECT else COLD_OTHERS for package in packages}
    rows = [
        [
            name,
            figures[name]["wall"].text(1000, 0),
            figures[name]["user"].text(1000, 0),
            *(
                limits[name].judge(ratios[name][kind]) if name in limits else f"{ratios[name][kind]:.2f}"
                for kind in ("wall", "user")
            ),
        ]
        for name in runs
    ]
    table(
        f"Cold: a fresh process imports the handler and ends, {rounds} interleaved runs, ms",
        ["handler", "wall", "user CPU", "wall ratio", "user CPU ratio"],
        rows,
        "median (middle half); the interpreter's own start is in all of them; "
        "without bytecode: own code and the layer's packages, as in Lambda",
    )
    write("cold", _as_json(figures, ratios))
    return all(
        ratios[package][kind] <= limits[package].must for package in packages for kind in ("wall", "user")
    )


@contextmanager
def _without_bytecode() -> Iterator[Path]:
    """A folder with the functions, the plain handler and the layer's packages as sources only."""
    sources = [PROJECT_ROOT / "functions", PROJECT_ROOT / "bench"]
    for name in _LAYER_PACKAGES:
        origin = find_spec(name)
        if origin is None or origin.origin is None:
            raise RuntimeError(f"{name} is not installed")
        file = Path(origin.origin)
        sources.append(file.parent if file.name == "__init__.py" else file)
    with tempfile.TemporaryDirectory() as scratch:
        for source in sources:
            target = Path(scratch, source.name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(scratch)


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
