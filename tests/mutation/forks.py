"""Tests the mutants of a file in forks of one process, which has imported the file and collected its tests.

A fork replaces the code of the functions that differ. It runs the tests that ran the changed lines, fastest
first. Mutants outside of functions cannot be tested so.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest
from coverage import Coverage

from local.engine.recorder import ACCOUNT_ID, REGION
from tests.mutation.mutants import ROOT, Mutant

# Without capture, forks share no file. The last plugin collects garbage: slower than most tests.
OPTIONS = (
    *("-q", "-s", "--assert=plain", "-m", "not many_orders"),
    *("-p", "no:cacheprovider", "-p", "no:unraisableexception"),
)
_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:signing-AbCdEf"
# The stacks of the tests, by their configuration. A fork would declare them in two seconds each.
STACKS: list[dict[str, Any]] = [
    {"workflowType": workflow} | fulfillment
    for workflow in ("STANDARD", "EXPRESS")
    for fulfillment in ({}, {"fulfillmentUrl": "https://ship.example.com", "fulfillmentSecretArn": _SECRET})
]
# CPU time of one mutant, apart from three times that of its tests. A mutant that needs more loops.
SECONDS = 5


class _Run(NamedTuple):
    """A test of the unchanged file: its duration, and the lines of the file that it ran."""

    item: int
    seconds: float
    lines: frozenset[int]


def start(task: Callable[[], int], seconds: float, log: Path = Path(os.devnull)) -> int:
    """Starts a fork that exits with the result of a task, or 3 if that raises. Returns its process id.

    It is terminated after `seconds` of CPU time. What it prints is written to `log`.
    """
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(int(20 * seconds))
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_folder(os.getpid()))
    _folder(os.getpid()).mkdir()
    code = 3
    try:
        code = task()
    except BaseException:  # noqa: BLE001 -- whatever it is, the fork ends here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait() -> tuple[int, int]:
    """Waits for a fork, and removes what it leaves. Returns its process id and its exit code."""
    pid, status = os.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(_folder(pid), ignore_errors=True)
    return pid, os.waitstatus_to_exitcode(status)


def _folder(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"mutant-{pid}"


class Forks:
    """A plugin of pytest that runs the mutants of a file instead of the collected tests once.

    `results` then has for each mutant, by its place, whether a test failed, or None if it must be imported.
    """

    def __init__(self, mutants: Sequence[Mutant], workers: int, until: float) -> None:
        self.results: dict[int, bool | None] = {}
        self._mutants = mutants
        self._workers = workers
        self._until = until
        self._path = ROOT / mutants[0].file
        self._coverage = self._covered()
        self._coverage.start()

    def _covered(self) -> Coverage:
        return Coverage(data_file=None, config_file=False, include=[str(self._path)], messages=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Runs the tests without a fault, then those of each mutant."""
        assert not session.testsfailed, "the tests cannot be collected"
        from local.memory.backend import MemoryBackend, installed
        from local.memory.iam import grants

        with installed(MemoryBackend()):  # imports all functions
            pass
        self._coverage.stop()
        for stack in STACKS:
            grants(**stack)
        imported = frozenset(self._coverage.get_data().lines(str(self._path)) or ())
        functions = _functions_of(self._path)
        gc.freeze()
        runs = self._measure(session.items)
        original = self._compile(self._path.read_text("utf-8"))
        running: dict[int, int] = {}
        for number, mutant in enumerate(self._mutants):
            if time.monotonic() > self._until:
                break
            swaps = _swaps(original, self._compile(mutant.content))
            if not swaps or any(_key(old) not in functions or _body(old) & imported for old, _ in swaps):
                self.results[number] = None
                continue
            chosen = _choose(runs, mutant, swaps)
            items = [session.items[run.item] for run in chosen]
            if len(running) == self._workers:
                self._finish(running)
            seconds = SECONDS + 3 * sum(run.seconds for run in chosen)
            running[start(partial(_test, functions, swaps, items), seconds)] = number
        while running:
            self._finish(running)
        return True

    def _compile(self, content: str) -> CodeType:
        return compile(content, str(self._path), "exec", dont_inherit=True)

    def _finish(self, running: dict[int, int]) -> None:
        pid, code = wait()
        self.results[running.pop(pid)] = code != 0

    def _measure(self, items: list[pytest.Item]) -> list[_Run]:
        """Returns the runs of all tests, fastest first. Without a fault they pass, in this order too."""
        with tempfile.NamedTemporaryFile() as answer:
            path = Path(answer.name)
            start(partial(self._run_all, items, path), 120 * SECONDS)
            code = wait()[1]
            assert code == 0, f"without a fault, the tests of {self._path} end with {code}"
            runs: list[_Run] = pickle.loads(path.read_bytes())  # noqa: S301
        runs.sort(key=lambda run: run.seconds)
        start(partial(_test, {}, [], [items[run.item] for run in runs]), 120 * SECONDS)
        assert wait()[1] == 0, f"the tests of {self._path} fail in another order"
        return runs

    def _run_all(self, items: list[pytest.Item], path: Path) -> int:
        coverage = self._covered()
        coverage.start()
        seconds = []
        for number, (item, following) in enumerate(zip_longest(items, items[1:])):
            coverage.switch_context(str(number))
            started = time.process_time()
            assert not _fails(item, following), item.nodeid
            seconds.append(time.process_time() - started)
        coverage.stop()
        lines: list[set[int]] = [set() for _ in items]
        for line, contexts in coverage.get_data().contexts_by_lineno(str(self._path)).items():
            for context in filter(None, contexts):
                lines[int(context)].add(line)
        runs = [_Run(n, *run) for n, run in enumerate(zip(seconds, map(frozenset, lines), strict=True))]
        path.write_bytes(pickle.dumps(runs))
        return 0


def _fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Runs a test up to its first failure. `following` is the next test, which may share fixtures."""
    phases: list[Callable[[], object]] = [
        lambda: item.ihook.pytest_runtest_setup(item=item),
        lambda: item.ihook.pytest_runtest_call(item=item),
        lambda: item.ihook.pytest_runtest_teardown(item=item, nextitem=following),
    ]
    for phase, when in zip(phases, ("setup", "call", "teardown"), strict=True):
        call = pytest.CallInfo.from_call(phase, when=when)  # type: ignore[arg-type]
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            return True
        item.ihook.pytest_runtest_makereport(item=item, call=call)  # fixtures read the result
    return False


def _test(
    functions: dict[object, list[FunctionType]],
    swaps: list[tuple[CodeType, CodeType]],
    items: list[pytest.Item],
) -> int:
    """Replaces code, and runs tests until one fails. Returns whether one failed."""
    for old, new in swaps:
        for function in functions[_key(old)]:
            function.__code__ = new
    return int(any(_fails(item, following) for item, following in zip_longest(items, items[1:])))


def _functions_of(path: Path) -> dict[object, list[FunctionType]]:
    """Returns all functions of a file, by their code."""
    found: dict[object, list[FunctionType]] = {}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == str(path):
            found.setdefault(_key(function.__code__), []).append(function)
    return found


def _key(code: CodeType) -> object:
    return code.co_qualname, code.co_firstlineno, code.co_linetable


def _body(code: CodeType) -> set[int]:
    """Returns the lines of a function, without its first line, which runs at import."""
    return {line for *_, line in code.co_lines() if line} - {code.co_firstlineno} or {code.co_firstlineno}


def _choose(runs: list[_Run], mutant: Mutant, swaps: list[tuple[CodeType, CodeType]]) -> list[_Run]:
    """Returns the tests that ran the functions; those that ran the changed lines come first."""
    changed = set(range(mutant.line, mutant.line + mutant.lines))
    functions = set().union(*(_body(old) for old, _ in swaps))
    chosen = [run for run in runs if run.lines & functions]
    return sorted(chosen, key=lambda run: not run.lines & changed)


def _swaps(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Returns the outermost functions that differ, or None if anything else differs."""
    if old.co_flags & inspect.CO_OPTIMIZED:
        if old.co_freevars != new.co_freevars:
            return None
        return [] if _without_lines(old) == _without_lines(new) else [(old, new)]
    inner = [[part for part in code.co_consts if isinstance(part, CodeType)] for code in (old, new)]
    if _shape(old) != _shape(new) or len(inner[0]) != len(inner[1]):
        return None
    swaps = []
    for pair in zip(*inner, strict=True):
        found = _swaps(*pair)
        if found is None:
            return None
        swaps += found
    return swaps


def _without_lines(code: CodeType) -> CodeType:
    """Returns a function as if it were on the first line: a line less before it is no difference."""
    constants = (_without_lines(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=tuple(constants))


def _shape(code: CodeType) -> tuple[object, ...]:
    """Returns what a module or a class does, without its functions."""
    constants = [repr(part) for part in code.co_consts if not isinstance(part, CodeType)]
    return code.co_code, code.co_names, code.co_varnames, constants
