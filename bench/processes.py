"""Runs fresh Python processes and measures their cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.samples import ENVIRONMENT, PROJECT_ROOT

_CHILD = str(Path(__file__).with_name("child.py"))


@dataclass(frozen=True, kw_only=True)
class Run:
    """The cost of one process from its start to its end, in seconds."""

    wall: float
    user: float
    cpu: float  # user and system


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The cost of calls in a child: seconds per call, and its peak memory in bytes."""

    cpu: Sequence[float]
    wall: Sequence[float]
    peak: int


def run_python(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    """Runs this interpreter in a fresh process. Raises RuntimeError when it fails."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable, [sys.executable, *arguments], dict(environment), file_actions=_DEVNULL_OUT
    )
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise RuntimeError(f"python {' '.join(arguments)} failed: exit {os.waitstatus_to_exitcode(status)}")
    return Run(wall=wall, user=usage.ru_utime, cpu=usage.ru_utime + usage.ru_stime)


_DEVNULL_OUT = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]


def environment(endpoint: str, *, path: Path = PROJECT_ROOT, **more: str) -> dict[str, str]:
    """Returns a measured process's environment: a function's variables, the stub's URL, code in `path`."""
    return {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": endpoint,
        "PYTHONPATH": str(path),
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.devnull,
        **more,
    }


class Child:
    """A process that has imported one handler."""

    def __init__(self, process: subprocess.Popen[str], answers: IO[str]) -> None:
        self._process = process
        self._answers = answers
        self.imported = self._read()

    def call(self, event: Any, calls: int = 1) -> Calls:
        """Calls the handler that many times."""
        assert self._process.stdin is not None  # noqa: S101  for mypy
        self._process.stdin.write(json.dumps({"event": event, "calls": calls}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Calls:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"the measured process ended early: {self._process.args!s}")
        return Calls(**json.loads(line))


@contextmanager
def child(package: str, variables: Mapping[str, str]) -> Iterator[Child]:
    """Starts a process that imports the handler of `package`."""
    reading, writing = os.pipe()
    command = [sys.executable, _CHILD, package, str(writing)]
    with (
        os.fdopen(reading, encoding="utf-8") as answers,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # the handlers' log
            env=dict(variables),
            pass_fds=[writing],
            text=True,
        ) as process,
    ):
        os.close(writing)
        yield Child(process, answers)
        assert process.stdin is not None  # noqa: S101  for mypy
        process.stdin.close()
