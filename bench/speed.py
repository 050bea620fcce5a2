"""Measures cold starts, first calls and warm calls, relative to the plain handler in one interleaved run."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from compileall import compile_dir
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from bench.processes import Calls, Run, child, environment, run_python
from bench.report import Figure, Limit, table, write
from bench.samples import EVENTS, PROJECT_ROOT, function_packages
from bench.stub import aws_stub

_LAYER_PACKAGES: Final = ("aws_lambda_powertools", "jmespath", "msgspec", "typing_extensions")

_SOURCES: Final = "sources only"
_BYTECODE: Final = "with bytecode"

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
    """Measures fresh processes that import a handler and end. Returns whether every limit holds.

    Also measures imports from read-only folders, as on Lambda: of sources, and of the same with the bytecode
    that `components/packaging.py` adds. The plain handler's archive has sources only.
    """
    packages = [PLAIN, *function_packages()]
    bare_plain = f"{PLAIN}, {_SOURCES}"
    deployed = [bare_plain, f"{SUBJECT}, {_SOURCES}", f"{SUBJECT}, {_BYTECODE}"]
    runs: dict[str, list[Run]] = {name: [] for name in (*packages, *deployed)}
    with aws_stub() as endpoint, _deployed_folders() as folders:
        variables = {name: environment(endpoint) for name in packages}
        for name in deployed:
            folder = folders[name.partition(", ")[2]]
            variables[name] = environment(endpoint, path=folder, PYTHONDONTWRITEBYTECODE="1")
        for number in range(-1, rounds):  # the first round writes the bytecode
            for package in _rotated(packages, number):
                for name in (package, *(name for name in deployed if name.startswith(f"{package}, "))):
                    run = run_python(["-P", "-c", f"import {package}.handler"], variables[name])
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
            kind: figure.median / figures[bare_plain if name in deployed else PLAIN][kind].median
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
                limits[name].colored(ratios[name][kind]) if name in limits else f"{ratios[name][kind]:.2f}"
                for kind in ("wall", "user")
            ),
        ]
        for name in runs
    ]
    table(
        f"Cold: a fresh process imports the handler and ends, {rounds} interleaved runs, ms",
        ["handler", "wall", "user CPU", "wall ratio", "user CPU ratio"],
        rows,
        "median (middle half), including the start of the interpreter; "
        f"{_SOURCES}, {_BYTECODE}: this project's code and the layer's packages, from a read-only folder",
    )
    write("cold", _as_json(figures, ratios))
    return all(
        ratios[package][kind] <= limits[package].must for package in packages for kind in ("wall", "user")
    )


@contextmanager
def _deployed_folders() -> Iterator[Mapping[str, Path]]:
    """Yields two folders with the functions, the plain handler and the layer's packages.

    One has sources only, the other also the bytecode of this Python that is checked by hash.
    """
    sources = [PROJECT_ROOT / "functions", PROJECT_ROOT / "bench"]
    for name in _LAYER_PACKAGES:
        origin = find_spec(name)
        if origin is None or origin.origin is None:
            raise RuntimeError(f"{name} is not installed")
        file = Path(origin.origin)
        sources.append(file.parent if file.name == "__init__.py" else file)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch, str(number)) for number, name in enumerate((_SOURCES, _BYTECODE))}
        for folder in folders.values():
            for source in sources:
                target = folder / source.name
                if source.is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, target)
        compile_dir(folders[_BYTECODE], quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        yield folders


def first(rounds: int = ROUNDS) -> bool:
    """Measures fresh processes that import a handler and call it once. Returns whether every limit holds."""
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
        has_limit = package == SUBJECT
        ratio, figure = ratios[package], figures[package]
        rows.append(
            [
                package,
                figure["cpu"].text(1000),
                figure["importAndFirst"].text(1000, 0),
                figure["peak"].text(1 / 1e6, 1),
                FIRST.colored(ratio["cpu"]) if has_limit else f"{ratio['cpu']:.2f}",
                f"{ratio['importAndFirst']:.2f}",
                PEAK.colored(ratio["peak"]) if has_limit else f"{ratio['peak']:.2f}",
            ]
        )
    table(
        f"First: the first call after the import, {rounds} interleaved fresh processes",
        ["handler", "first CPU, ms", "import + first CPU, ms", "peak, MB", "first", "import + first", "peak"],
        rows,
        "median (middle half); ratios to the plain handler, which makes the AWS calls of orders_api",
    )
    write("first", _as_json(figures, ratios))
    return ratios[SUBJECT]["cpu"] <= FIRST.must and ratios[SUBJECT]["peak"] <= PEAK.must


def warm(pairs: int = WARM_PAIRS) -> bool:
    """Measures warm calls of POST /orders, in alternating blocks. Returns whether the limit holds.

    Uses several pairs of processes, because each process has another memory layout. The ratio is the median
    of the ratios of neighboring blocks: other work on the machine slows both.
    """
    medians: dict[str, list[float]] = {PLAIN: [], SUBJECT: []}
    ratios: list[float] = []
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
                            samples[package].append(statistics.median(cpu))
                for package, of in samples.items():
                    medians[package].append(statistics.median(of))
                ratios += [
                    subject / plain for subject, plain in zip(samples[SUBJECT], samples[PLAIN], strict=True)
                ]
    figures = {package: {"cpu": Figure.of(of)} for package, of in medians.items()}
    low, ratio, high = statistics.quantiles(ratios, n=4)
    table(
        f"Warm: CPU of POST /orders, {pairs} pairs of processes, {WARM_CALLS} calls each after {WARM_UP}",
        ["handler", "CPU, ms", "ratio"],
        [
            [PLAIN, figures[PLAIN]["cpu"].text(1000, 2), "1.00"],
            [SUBJECT, figures[SUBJECT]["cpu"].text(1000, 2), WARM.colored(ratio)],
        ],
        "median (middle half) of the processes' medians; "
        f"the blocks' ratios: {low:.2f} to {high:.2f} (middle half)",
    )
    write("warm", _as_json(figures, {SUBJECT: {"cpu": ratio}}))
    return ratio <= WARM.must


def _rotated(packages: Sequence[str], by: int) -> list[str]:
    """Returns the packages in another order each round, so that no package always follows the same one."""
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
