"""Makes docs/configuration.md, a table of all configuration keys, from Pulumi.yaml.

The stacks' files are not read: an operator's change there must not make the page stale.

`python -m tools.configuration` writes the page; with `--check` it fails when the page is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = Path("docs", "configuration.md")

# Keys of Pulumi and its AWS provider. Pulumi.yaml can give them a value, but no description.
_FOREIGN: Final = {
    "aws:region": "AWS region of the stack.",
    "pulumi:autonaming": "Pattern of physical names. Six hex digits at the end allow a replacement to be "
    "created before the old resource is deleted.",
}

_INTRODUCTION: Final = """\
# Configuration

All keys that the program reads. `python -m tools.configuration` makes this page from Pulumi.yaml. A stack's
values are in its file, `Pulumi.<stack>.yaml`; the default applies to all other keys.

- `pulumi config set --stack dev logLevel DEBUG` sets a key.
- A list or an object replaces the whole default: set all of it. For example `pulumi config set --stack dev
  --path 'corsOrigins[0]' https://shop.example.com`.
- The CLI takes the ARN of a secret or a key for a secret. Set it with `--plaintext`: `pulumi config set
  --plaintext fulfillmentSecretArn "$SECRET_ARN"`.
- A wrong value stops `pulumi preview` before it declares resources. The error names the key;
  components/settings/ has the rules.
- Edit [Pulumi.dev.yaml](../Pulumi.dev.yaml) and [Pulumi.prod.yaml](../Pulumi.prod.yaml) as needed: stacks
  differ only by these values. As delivered, dev logs much and protects nothing; prod protects its data.
  [Pulumi.local.yaml](../Pulumi.local.yaml) is for the embedded AWS of `python -m local`.
- [cost.md](cost.md#what-each-config-value-changes) lists what each value costs.
"""


class ConfigurationError(Exception):
    """Pulumi.yaml or this module lacks a part of the table. The message is one sentence."""


def render(root: Path = ROOT) -> str:
    """Returns the page. Raises ConfigurationError for a key without type, default or description."""
    schema = yaml.safe_load((root / "Pulumi.yaml").read_text("utf-8"))["config"]
    own = _table(_own_rows(schema), ("key", "type", "default", "what it means"))
    others = _table(_foreign_rows(schema), ("key", "value", "what it means"))
    return "\n".join([_INTRODUCTION, *own, "", "Keys of Pulumi and its AWS provider:", "", *others, ""])


def _own_rows(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    for key, declared in schema.items():
        if ":" in key:
            continue
        for field in ("type", "default", "description"):
            if field not in declared:
                raise ConfigurationError(f"Pulumi.yaml declares {key} without a {field}: add one.")
        kind = (
            f"{declared['type']} of {declared['items']['type']}s" if "items" in declared else declared["type"]
        )
        yield [f"`{key}`", kind, _shown(declared["default"]), declared["description"]]


def _foreign_rows(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    for key in sorted({*_FOREIGN, *(key for key in schema if ":" in key)}):
        if key not in _FOREIGN:
            raise ConfigurationError(
                f"tools/configuration.py has no description of {key}: add one to _FOREIGN."
            )
        preset = _shown(schema[key]["value"]) if key in schema else ""
        yield [f"`{key}`", preset, _FOREIGN[key]]


def _shown(value: object) -> str:
    """Returns a value in YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=sys.maxsize)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _table(rows: Iterable[list[str]], heads: tuple[str, ...]) -> Iterator[str]:
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Writes the page; with `--check`, compares it instead. Returns the exit code."""
    try:
        page = render(root)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    document = root / DOCUMENT
    if "--check" in arguments:
        if document.is_file() and document.read_text("utf-8") == page:
            return 0
        print(f"{DOCUMENT.as_posix()} is stale: run `python -m tools.configuration`.", file=sys.stderr)
        return 1
    document.parent.mkdir(exist_ok=True)
    document.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
