"""Runs the tests against every mutant: `python -m tests.mutation [--since COMMIT] [FILE OR FOLDER ...]`.

Exits with 1 if a mutant survives that `equivalents.toml` does not list. Each mutant runs in a fork of this
process, which has imported all packages, and none of the code that is mutated.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

import pytest

from tests.mutation.mutants import ROOT, Mutant, mutants_of
from tests.mutation.selection import TESTS

WORKERS = 2
# CPU time of one mutant. A mutant that needs more loops, and is terminated.
SECONDS = 60
# The last plugin collects garbage, which takes longer than most tests.
_OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
EQUIVALENTS = Path(__file__).with_name("equivalents.toml")


def _import_what_does_not_change() -> None:
    """Imports packages and computes what every test needs, once for all forks."""
    for name in ("aws_lambda_powertools", "boto3", "cfnlint.api", "jsonata", "moto", "msgspec", "requests"):
        __import__(name)
    from local.engine.stacks import table_schemas

    table_schemas()
    # The settings import the currencies. A fork imports them again, perhaps mutated.
    for name in [name for name in sys.modules if name.startswith("functions.")]:
        del sys.modules[name]
    gc.freeze()
    assert not [name for name in sys.modules if name.startswith("ops.")]


def _replace_file(path: Path, content: str) -> None:
    """Makes this process import and read `content` instead of the content of a file."""
    get_code = SourceFileLoader.get_code
    read_text = Path.read_text

    def get_mutated_code(self: Any, name: str) -> CodeType | None:
        if self.path == str(path):
            return compile(content, self.path, "exec", dont_inherit=True)
        return get_code(self, name)

    def read_mutated_text(self: Path, *arguments: Any, **options: Any) -> str:
        return content if self.resolve() == path else read_text(self, *arguments, **options)

    patch.object(SourceFileLoader, "get_code", get_mutated_code).start()
    patch.object(Path, "read_text", read_mutated_text).start()


def _start(mutant: Mutant) -> int:
    """Starts a fork that tests a mutant. Returns its process id; it exits with pytest's code."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(20 * SECONDS)
    output = os.open(os.devnull, os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _replace_file(ROOT / mutant.file, mutant.content)
    code = 3
    with contextlib.suppress(BaseException):
        for tests in TESTS[mutant.file]:  # one by one: pytest collects all before it runs the first
            code = int(pytest.main([*_OPTIONS, tests]))
            if code:
                break
    os._exit(code)


def _survivors(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Returns the mutants with which all their tests pass."""
    waiting = list(mutants)[::-1]
    running: dict[int, Mutant] = {}
    while waiting or running:
        while waiting and len(running) < WORKERS:
            mutant = waiting.pop()
            running[_start(mutant)] = mutant
        pid, status = os.wait()
        mutant = running.pop(pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the tests started
        assert os.waitstatus_to_exitcode(status) != pytest.ExitCode.NO_TESTS_COLLECTED, mutant.file
        if os.waitstatus_to_exitcode(status) == pytest.ExitCode.OK:
            yield mutant


def _equivalents() -> dict[tuple[str, str, str], str]:
    """Returns the mutants that change no behavior, each with the reason."""
    listed = tomllib.loads(EQUIVALENTS.read_text("utf-8")).get("mutant", [])
    return {(entry["file"], entry["before"], entry["after"]): entry["reason"] for entry in listed}


def _changed_since(commit: str) -> set[str]:
    """Returns the files that differ from a commit, including uncommitted changes."""
    command = ["git", "diff", "--name-only", "--merge-base", commit]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def main() -> int:
    """Prints each survivor, and the score of each file."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Tests every mutant.")
    parser.add_argument("paths", nargs="*", help="files or folders; without them all of selection.py")
    parser.add_argument("--since", metavar="COMMIT", help="only files that differ from this commit")
    arguments = parser.parse_args()
    changed = _changed_since(arguments.since) if arguments.since else set(TESTS)
    wanted = tuple(arguments.paths) or ("",)
    files = [file for file in TESTS if file in changed and file.startswith(wanted)]
    equivalents = _equivalents()
    _import_what_does_not_change()
    total = alive = 0
    for file in files:
        started = time.monotonic()
        every = mutants_of(file)
        mutants = [mutant for mutant in every if mutant.identity not in equivalents]
        present = {mutant.identity for mutant in every}
        stale = [listed for listed in equivalents if listed[0] == file and listed not in present]
        for _, before, after in stale:
            print(f"{file}: equivalents.toml lists a mutant that does not exist\n  - {before}\n  + {after}")
        alive += len(stale)
        found = 0
        for mutant in _survivors(mutants):
            found += 1
            print(f"{file}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}", flush=True)
        seconds = time.monotonic() - started
        print(f"{file}: {len(mutants) - found} of {len(mutants)} killed in {seconds:.0f} s", flush=True)
        total += len(mutants)
        alive += found
    listed = sum(identity[0] in files for identity in equivalents)
    print(f"{total - alive} of {total} mutants killed; {listed} equivalents are listed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
