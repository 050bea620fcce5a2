"""Makes docs/configuration.md, a table of every configuration key, from Pulumi.yaml.

Not from the stacks' files: whoever deploys sets what they need there, which must leave nothing stale.

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

# Keys that belong to Pulumi and its AWS provider: Pulumi.yaml can give them a value, but no description.
_FOREIGN: Final = {
    "aws:region": "AWS region that the stack is deployed to.",
    "pulumi:autonaming": "How physical names are made from the program's: six hex digits at the end let a "
    "resource be replaced without a gap.",
}

_INTRODUCTION: Final = """\
# Configuration

Every key that the program reads. This page is made by `python -m tools.configuration` from Pulumi.yaml, which
holds types, defaults and descriptions. A stack's own values stand in its file, `Pulumi.<stack>.yaml`; where
that is silent the default holds.

- `pulumi config set --stack dev logLevel DEBUG` sets a key. A list or an object replaces the default as a
  whole, so set all of it (`pulumi config set --stack dev --path 'corsOrigins[0]' https://shop.example.com`).
- The CLI takes an ARN of a secret or a key for a secret itself: `pulumi config set --plaintext
  fulfillmentSecretArn "$SECRET_ARN"`.
- A mistake stops `pulumi preview` before anything is declared, with one sentence that names the key;
  components/settings/ has the rules.
- [Pulumi.dev.yaml](../Pulumi.dev.yaml) and [Pulumi.prod.yaml](../Pulumi.prod.yaml) are yours to edit. Stacks
  differ by these values only: dev starts out telling much and guarding nothing, prod guarding its data.
  [Pulumi.local.yaml](../Pulumi.local.yaml) is the embedded AWS of `python -m local`.
- What each value changes about the bill is in [cost.md](cost.md#what-each-config-value-changes).
"""


class ConfigurationError(Exception):
    """The table cannot be made; the message is one sentence."""


def render(root: Path = ROOT) -> str:
    """The page; raises ConfigurationError for a key without type, default or description."""
    schema = yaml.safe_load((root / "Pulumi.yaml").read_text("utf-8"))["config"]
    own = _table(_own_rows(schema), ("key", "type", "default", "what it means"))
    others = _table(_foreign_rows(schema), ("key", "value", "what it means"))
    return "\n".join(
        [_INTRODUCTION, *own, "", "Besides, for Pulumi itself and its AWS provider:", "", *others, ""]
    )


def _own_rows(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    for key, declared in schema.items():
        if ":" in key:
            continue
        for field in ("type", "default", "description"):
            if field not in declared:
                raise ConfigurationError(f"Pulumi.yaml declares {key} without a {field}.")
        kind = (
            f"{declared['type']} of {declared['items']['type']}s" if "items" in declared else declared["type"]
        )
        yield [f"`{key}`", kind, _shown(declared["default"]), declared["description"]]


def _foreign_rows(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    for key in sorted({*_FOREIGN, *(key for key in schema if ":" in key)}):
        if key not in _FOREIGN:
            raise ConfigurationError(f"tools/configuration.py has no description of {key}.")
        preset = _shown(schema[key]["value"]) if key in schema else ""
        yield [f"`{key}`", preset, _FOREIGN[key]]


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
