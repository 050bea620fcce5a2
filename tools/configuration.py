"""Makes docs/configuration.md, a table of every configuration key, from Pulumi.yaml and the stacks' files.

`python -m tools.configuration` writes it, `python -m tools.configuration --check` fails when it is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = Path("docs", "configuration.md")
STACKS: Final = ("dev", "prod", "local")

# Keys that belong to Pulumi and its AWS provider: Pulumi.yaml can give them a value, but no description.
_FOREIGN: Final = {
    "aws:region": "AWS region that the stack is deployed to.",
    "pulumi:autonaming": "How physical names are made from the program's: six hex digits at the end let a "
    "resource be replaced without a gap.",
}

_INTRODUCTION: Final = """\
# Configuration

Every key that the program reads. This page is made by `python -m tools.configuration` from Pulumi.yaml, which
holds types, defaults and descriptions, and from the stacks' files (`Pulumi.<stack>.yaml`), which hold values.
Where a stack has no value of its own, its cell is empty and the default holds.

- `pulumi config set --stack dev logLevel DEBUG` sets a key. An object or a list in a stack's file replaces
  the default as a whole, so it must hold all of it.
- A mistake stops `pulumi preview` before anything is declared, with one sentence that names the key;
  components/settings.py has the rules.
- `dev` and `prod` differ by these values only. `local` is the embedded AWS of `python -m local`.
"""


class ConfigurationError(Exception):
    """The table cannot be made; the message is one sentence."""


def render(root: Path = ROOT) -> str:
    """The page; raises ConfigurationError for a key without type, default or description."""
    project = _read(root / "Pulumi.yaml")
    name, schema = project["name"], project["config"]
    stacks = {stack: _values(root / f"Pulumi.{stack}.yaml", name) for stack in STACKS}
    foreign = [key for key in schema if ":" in key]
    used = {key for values in stacks.values() for key in values}
    for key in sorted(used - schema.keys()):
        if ":" not in key:
            raise ConfigurationError(f"A stack's file sets {key}, which Pulumi.yaml does not declare.")
        foreign.append(key)
    own = _table(_own_rows(schema, stacks), ("key", "type", "default", "what it means", *STACKS))
    others = _table(_foreign_rows(foreign, schema, stacks), ("key", "value", "what it means", *STACKS))
    return "\n".join(
        [_INTRODUCTION, *own, "", "Besides, for Pulumi itself and its AWS provider:", "", *others, ""]
    )


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


def _values(path: Path, project: str) -> dict[str, Any]:
    config = _read(path).get("config") or {}
    return {key.removeprefix(f"{project}:"): value for key, value in config.items()}


def _own_rows(schema: Mapping[str, Any], stacks: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    for key, declared in schema.items():
        if ":" in key:
            continue
        for field in ("type", "default", "description"):
            if field not in declared:
                raise ConfigurationError(f"Pulumi.yaml declares {key} without a {field}.")
        kind = (
            f"{declared['type']} of {declared['items']['type']}s" if "items" in declared else declared["type"]
        )
        yield [
            f"`{key}`",
            kind,
            _shown(declared["default"]),
            declared["description"],
            *_cells(key, stacks),
        ]


def _foreign_rows(
    keys: Iterable[str], schema: Mapping[str, Any], stacks: Mapping[str, Mapping[str, Any]]
) -> Iterator[list[str]]:
    for key in keys:
        if key not in _FOREIGN:
            raise ConfigurationError(f"tools/configuration.py has no description of {key}.")
        preset = _shown(schema[key]["value"]) if key in schema else ""
        yield [f"`{key}`", preset, _FOREIGN[key], *_cells(key, stacks)]


def _cells(key: str, stacks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for values in stacks.values():
        yield _shown(values[key]) if key in values else ""


def _shown(value: object) -> str:
    """A value as a stack's file would hold it on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=sys.maxsize)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _table(rows: Iterable[list[str]], heads: tuple[str, ...]) -> Iterator[str]:
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the page, or with `--check` say whether it is stale."""
    try:
        wanted = render(root)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    document = root / DOCUMENT
    if "--check" in arguments:
        if document.is_file() and document.read_text("utf-8") == wanted:
            return 0
        print(f"{DOCUMENT.as_posix()} is stale: run `python -m tools.configuration`.", file=sys.stderr)
        return 1
    document.parent.mkdir(exist_ok=True)
    document.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
