"""Implementations by others that the stand-ins are compared with: their folders, pins and installation.

`python -m tests.references.implementations` installs all that this machine can have into .build/references/.
The tests of the others are skipped.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
FOLDER: Final = HERE.parents[1] / ".build" / "references"


class NotAvailable(Exception):
    """The machine does not support the implementation. The message names what is missing."""


@dataclass(frozen=True)
class Implementation:
    """One implementation: its folder, the files that pin it, and what installs it into a folder."""

    name: str
    pins: tuple[str, ...]
    install_into: Callable[[Path], None]

    @property
    def folder(self) -> Path:
        """The folder of the installed implementation."""
        return FOLDER / self.name

    @property
    def required(self) -> pytest.MarkDecorator:
        """Skips a test if the implementation is not installed."""
        return pytest.mark.skipif(
            not self.is_installed(), reason=f"{self.name} is not installed: run `make references`"
        )

    def is_installed(self) -> bool:
        """Returns whether the pinned version is installed."""
        marker = self.folder / "pins"
        return marker.is_file() and marker.read_text() == self._digest()

    def install(self) -> None:
        """Installs the pinned version. Raises NotAvailable."""
        if self.is_installed():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.install_into(self.folder)
        (self.folder / "pins").write_text(self._digest())

    def _digest(self) -> str:
        return hashlib.sha256(b"\0".join((HERE / pin).read_bytes() for pin in self.pins)).hexdigest()


def _run(*command: str, cwd: Path = HERE) -> None:
    if shutil.which(command[0]) is None:
        raise NotAvailable(f"{command[0]} is not on PATH")
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr + result.stdout).strip().splitlines() or ["no message"]
        raise NotAvailable(f"{command[0]} failed: {lines[-1]}")


def _python313() -> str:
    candidates = ["python3.13", *map(str, Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"))]
    for candidate in filter(shutil.which, candidates):
        # pyenv's own python3.13 on PATH fails where another version is selected.
        if not subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode:
            return candidate
    raise NotAvailable("python3.13 is not on PATH")


def _environment(requirements: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        python = str(folder / "bin" / "python")
        _run(uv, "venv", "--quiet", "--allow-existing", "--python", _python313(), str(folder))
        _run(
            uv, "pip", "install", "--system-certs", "--require-hashes", "--python", python, "-r", requirements
        )

    return install


def _install_jsonata(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def _install_dynamodb(folder: Path) -> None:
    if shutil.which("java") is None:
        raise NotAvailable("java is not on PATH")
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    _run("mvn", "--quiet", "--batch-mode", plugin, f"-DoutputDirectory={folder}")


JSONATA: Final = Implementation("jsonata", ("package.json", "package-lock.json"), _install_jsonata)
LOCALSTACK: Final = Implementation(
    "localstack", ("requirements-localstack.txt",), _environment("requirements-localstack.txt")
)
RUNTIME: Final = Implementation(
    "runtime", ("requirements-runtime.txt",), _environment("requirements-runtime.txt")
)
DYNAMODB: Final = Implementation("dynamodb", ("pom.xml",), _install_dynamodb)
ALL: Final = (JSONATA, LOCALSTACK, RUNTIME, DYNAMODB)


def main() -> None:
    """Installs all implementations, and prints which are not available."""
    for implementation in ALL:
        try:
            implementation.install()
        except NotAvailable as error:
            print(f"{implementation.name}: not installed, its tests are skipped: {error}")
        else:
            print(f"{implementation.name}: installed")


if __name__ == "__main__":
    main()
