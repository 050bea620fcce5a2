"""Small Pulumi projects that tests write."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

WriteProject = Callable[..., Path]


@pytest.fixture
def write_project(tmp_path: Path) -> WriteProject:
    """Writes a project with one stack, `local`. Returns its folder.

    `schema` and `config` are the YAML under `config:` of Pulumi.yaml and Pulumi.local.yaml. `files` holds
    more files by path.
    """

    def write(
        main: str = "",
        *,
        schema: str = "",
        config: str = "",
        name: str = "sample",
        files: dict[str, str] | None = None,
    ) -> Path:
        root = tmp_path / name
        contents = {
            "Pulumi.yaml": f"name: {name}\nruntime: python\n" + _section(schema),
            "Pulumi.local.yaml": _section(config),
            "__main__.py": textwrap.dedent(main),
            **(files or {}),
        }
        for path, content in contents.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(content))
        return root

    return write


def _section(config: str) -> str:
    return "config:\n" + textwrap.indent(textwrap.dedent(config), "  ") if config else ""
