"""Every Pulumi project of the repository runs in the environment that `make install` makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from local.engine.program import PROJECT_ROOT

PROJECTS = [
    PROJECT_ROOT,
    PROJECT_ROOT / "bootstrap",
    PROJECT_ROOT / "examples" / "billing",
    PROJECT_ROOT / "examples" / "consumer",
]


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_the_cli_finds_the_environment_of_make_install(folder: Path) -> None:
    """Without `virtualenv` the language host runs the first Python on PATH, which has no pulumi."""
    runtime = yaml.safe_load((folder / "Pulumi.yaml").read_text("utf-8"))["runtime"]
    assert (folder / runtime["options"]["virtualenv"]).resolve() == (PROJECT_ROOT / ".venv").resolve()


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_pulumi_install_finds_the_locked_requirements(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    included = [folder / line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    assert folder == PROJECT_ROOT or [path.resolve() for path in included] == [
        PROJECT_ROOT / "requirements.txt"
    ]
