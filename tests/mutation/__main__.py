"""Runs the tests against every mutant: `python -m tests.mutation [--since COMMIT] [FILE OR FOLDER ...]`.

Exits with 1 if a mutant survives that `equivalents.toml` does not list. Each mutant runs in a fork of this
process, which has imported all packages, and none of the code that is mutated.
"""

from __future__ import annotations

import argparse
import gc
import os
import pickle
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

import hypothesis
import pytest
from hypothesis import Phase

from tests.mutation.forks import OPTIONS, STACKS, Forks, start, wait
from tests.mutation.mutants import ROOT, Identity, Mutant, mutants_of
from tests.mutation.selection import COMPLETE, TESTS

# CPU time of a mutant that is imported. One that needs more loops.
SECONDS_OF_IMPORT = 60
EQUIVALENTS = Path(__file__).with_name("equivalents.toml")


def _import_what_does_not_change() -> None:
    """Imports packages and computes what every test needs, once for all forks."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # A failure needs neither a smaller example nor an entry in the database.
    hypothesis.settings.register_profile(
        "mutants", database=None, derandomize=True, phases=[Phase.explicit, Phase.generate]
    )
    hypothesis.settings.load_profile("mutants")
    for name in ("aws_lambda_powertools", "boto3", "cfnlint.api", "jsonata", "moto", "msgspec", "requests"):
        __import__(name)
    from local.engine.stacks import declare_test_stack, table_schemas

    table_schemas()
    for stack in STACKS:
        declare_test_stack(**stack)
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


def _test_with_import(mutant: Mutant) -> int:
    """Imports a mutant, and runs tests until one fails. Returns the exit code of pytest."""
    _replace_file(ROOT / mutant.file, mutant.content)
    for tests in TESTS[mutant.file]:  # one by one: pytest collects all before it runs the first
        code = int(pytest.main([*OPTIONS, "-x", tests]))
        if code:
            return code
    return 0


def _test_in_forks(mutants: list[Mutant], workers: int, until: float) -> dict[int, bool | None]:
    """Returns for each mutant, by its place, whether it is killed, or None if it must be imported."""
    with tempfile.TemporaryDirectory() as folder:
        answer, log = Path(folder, "answer"), Path(folder, "log")

        def test() -> int:
            forks = Forks(mutants, workers, until)
            code = int(pytest.main([*OPTIONS, *TESTS[mutants[0].file]], plugins=[forks]))
            answer.write_bytes(pickle.dumps(forks.results))
            return code

        start(test, 24 * 60 * 60, log)
        code = wait()[1]
        assert code == 0, log.read_text()
        results: dict[int, bool | None] = pickle.loads(answer.read_bytes())  # noqa: S301
        return results


def _outcomes(mutants: list[Mutant], workers: int, until: float) -> Iterator[tuple[Mutant, str]]:
    """Returns what happens to each mutant for which there is time."""
    results: dict[int, bool | None] = {}
    if mutants and not mutants[0].file.endswith(".json"):
        results = _test_in_forks(mutants, workers, until)
    waiting = []
    for number, mutant in enumerate(mutants):
        is_killed = results.get(number)
        if is_killed is None:
            waiting.append(mutant)
        else:
            yield mutant, "killed" if is_killed else "survived"
    running: dict[int, Mutant] = {}
    while running or (waiting and time.monotonic() < until):
        while waiting and len(running) < workers:
            mutant = waiting.pop(0)
            running[start(partial(_test_with_import, mutant), SECONDS_OF_IMPORT)] = mutant
        pid, code = wait()
        mutant = running.pop(pid)
        assert code != pytest.ExitCode.NO_TESTS_COLLECTED, mutant.file
        yield mutant, "survived" if code == pytest.ExitCode.OK else "killed"


def _equivalents() -> dict[Identity, int]:
    """Returns the mutants that change no behavior, each with the number of places that have these lines."""
    listed = tomllib.loads(EQUIVALENTS.read_text("utf-8")).get("mutant", [])
    return {(entry["file"], entry["before"], entry["after"]): entry.get("places", 1) for entry in listed}


def _changed_since(commit: str) -> set[str]:
    """Returns the files that differ from a commit, including uncommitted changes."""
    command = ["git", "diff", "--name-only", "--merge-base", commit]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def main() -> int:
    """Prints each survivor, and the score of each file."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Tests every mutant.")
    parser.add_argument("paths", nargs="*", help="files or folders; without them all of selection.py")
    parser.add_argument("--since", metavar="COMMIT", help="only complete files that differ from this commit")
    parser.add_argument("--minutes", type=float, default=600, help="start no mutant after this time")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    changed = set(TESTS)
    if arguments.since:
        changed &= _changed_since(arguments.since)
        if left_out := sorted(changed - COMPLETE):
            print("left out, as not all of their mutants are killed yet:", *left_out)
        changed &= COMPLETE
    wanted = arguments.paths or [""]
    files = [file for path in wanted for file in TESTS if file in changed and file.startswith(path)]
    equivalents = _equivalents()
    if files:
        _import_what_does_not_change()
    total = Counter[str]()
    for file in files:
        started = time.monotonic()
        every = mutants_of(file)
        mutants = [mutant for mutant in every if mutant.identity not in equivalents]
        places = Counter(mutant.identity for mutant in every)
        stale = [
            listed for listed in equivalents if listed[0] == file and places[listed] != equivalents[listed]
        ]
        for listed in stale:
            print(f"{file}: equivalents.toml lists this mutant, which {places[listed]} places have")
            print(f"  - {listed[1]}\n  + {listed[2]}")
        score = Counter({"mutants": len(every), "equivalent": len(every) - len(mutants), "stale": len(stale)})
        for mutant, outcome in _outcomes(mutants, arguments.workers, until):
            score[outcome] += 1
            if outcome == "survived":
                print(f"{file}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}", flush=True)
        score["left out"] = len(mutants) - score["killed"] - score["survived"]
        print(f"{file}: {_text(score)}; took {time.monotonic() - started:.0f} s", flush=True)
        total += score
    print(f"{len(files)} files: {_text(total)}")
    return 1 if total["survived"] or total["stale"] else 0


def _text(score: Counter[str]) -> str:
    parts = [f"{score[part]} {part}" for part in ("mutants", "killed", "equivalent", "survived", "left out")]
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
