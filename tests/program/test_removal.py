"""An optional capability can be removed: its files, and its lines in the program and the settings.

Only wiring is optional: states and moves, and the client of the fulfillment system, are never removed.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from components.packaging import PROJECT_ROOT
from local.engine.stacks import EVERYTHING

CAPABILITIES = ("custom_domain", "firewall", "fulfillment", "warm_starts")
# Removed with a capability, where they exist.
FILES = (
    "components/{name}.py",
    "components/settings/{name}.py",
    "docs/{name}.md",
    "tests/**/test_{name}.py",
    "tests/**/{name}*/",
)
# One import, and two lines of use.
MOST_LINES_IN_PROGRAM = 3


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the repository's files, without what git ignores. It shares the built layer and bytecode."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (PROJECT_ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time: mypy reads a file again whose time differs from that in its cache.
            shutil.copy2(PROJECT_ROOT / name, tmp_path / name)
    (PROJECT_ROOT / ".build").mkdir(exist_ok=True)
    (tmp_path / ".build").symlink_to(PROJECT_ROOT / ".build")
    return tmp_path


@pytest.mark.parametrize("name", CAPABILITIES)
def test_without_an_optional_capability_program_types_and_tests_hold(name: str, project: Path) -> None:
    keys = _keys_of(name, project)
    assert keys, f"components/settings/{name}.py reads no key"
    assert keys & EVERYTHING.keys(), f"add a key of {name} to EVERYTHING: other tests see its resources there"
    for pattern in FILES:
        for path in [*project.glob(pattern.format(name=name).rstrip("/"))]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert 0 < _remove_uses(project / "__main__.py", f"components.{name}", name) <= MOST_LINES_IN_PROGRAM
    assert _remove_uses(project / "components/settings/stack.py", f"components.settings.{name}", name)
    _remove_keys(project, keys)

    # The cache of `make types`: without it, mypy reads the SDK again.
    _run(project, "mypy", "--cache-dir", str(PROJECT_ROOT / ".mypy_cache"), "__main__.py")
    tests = ("tests/program/test_program.py", "tests/components/settings")
    _run(project, "pytest", "-q", "-p", "no:cacheprovider", "-m", "not values_only", *tests)


def _keys_of(name: str, project: Path) -> set[str]:
    """The configuration keys that the capability's settings read."""
    declared = yaml.safe_load((project / "Pulumi.yaml").read_text("utf-8"))["config"]
    source = (project / f"components/settings/{name}.py").read_text("utf-8")
    return {key for key in declared if f'"{key}"' in source}


def _remove_uses(path: Path, module: str, name: str) -> int:
    """Removes the import of a module and the lines that use it. Returns the number of lines."""
    source = path.read_text("utf-8")
    imported = re.findall(rf"^from {re.escape(module)} import (.+)$", source, re.MULTILINE)
    names = [name, *(part.strip() for line in imported for part in line.split(","))]
    uses = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
    kept = [line for line in source.splitlines() if not uses.search(line)]
    path.write_text("\n".join(kept) + "\n", "utf-8")
    return len(source.splitlines()) - len(kept)


def _remove_keys(project: Path, keys: set[str]) -> None:
    """Removes configuration keys from Pulumi.yaml, the stacks' files and the dictionaries of the tests."""
    schema = project / "Pulumi.yaml"
    content = yaml.safe_load(schema.read_text("utf-8"))
    content["config"] = {key: value for key, value in content["config"].items() if key not in keys}
    schema.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    for path in [
        *project.glob("Pulumi.*.yaml"),
        *project.glob("tests/**/*.py"),
        *project.glob("local/**/*.py"),
    ]:
        source = path.read_text("utf-8")
        if not any(key in source for key in keys):
            continue
        lines = source.splitlines()
        for line in sorted(_lines_of(source, keys, path), reverse=True):
            del lines[line - 1]
        path.write_text("\n".join(lines) + "\n", "utf-8")


def _lines_of(source: str, keys: set[str], path: Path) -> set[int]:
    """The lines of the entries under these keys: in YAML one each, in Python a key and its value."""
    if path.suffix == ".yaml":
        return {
            number
            for number, line in enumerate(source.splitlines(), 1)
            if line.strip().partition(":")[2].partition(":")[0] in keys
        }
    return {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value in keys
        for line in range(key.lineno, (value.end_lineno or 0) + 1)
    }


def _run(project: Path, module: str, *arguments: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=project,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # importing them takes two seconds
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
