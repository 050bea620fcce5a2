"""Measures the Pulumi program's duration: recorded only, and deployed onto the embedded AWS."""

from __future__ import annotations

import os
from typing import Final

from bench.processes import run_python
from bench.report import Figure, Limit, table, write

_RUNS: Final = 5
_RECORD: Final = (
    "from local.engine.program import run_program\n"
    "from local.engine.recorder import Recorder\n"
    "run_program('dev', Recorder())"
)
_DEPLOY: Final = "from local.stack import running_stack\nwith running_stack(): pass"

RECORDED: Final = Limit(must=1.5)
DEPLOYED: Final = Limit(must=4.0)


def program(runs: int = _RUNS) -> bool:
    """Measures fresh processes from start to end. Returns whether both limits hold."""
    figures = {}
    for name, code in (("recorded", _RECORD), ("deployed", _DEPLOY)):
        run_python(["-c", code], os.environ)  # writes the bytecode
        figures[name] = [run_python(["-c", code], os.environ) for _ in range(runs)]
    wall = {name: Figure.of([run.wall for run in of]) for name, of in figures.items()}
    cpu = {name: Figure.of([run.cpu for run in of]) for name, of in figures.items()}
    limits = {"recorded": RECORDED, "deployed": DEPLOYED}
    table(
        f"The program: fresh processes with warm bytecode, {runs} runs, s",
        ["what", "wall", "CPU of the process", "within"],
        [
            [
                {
                    "recorded": "__main__.py under the recorder",
                    "deployed": "emulator, whole stack, and its end",
                }[name],
                wall[name].text(1, 2),
                cpu[name].text(1, 2),
                limits[name].colored(wall[name].median),
            ]
            for name in figures
        ],
    )
    write(
        "program",
        {name: {"wall": wall[name].as_json(), "cpu": cpu[name].as_json()} for name in figures},
    )
    return all(wall[name].median <= limits[name].must for name in figures)
