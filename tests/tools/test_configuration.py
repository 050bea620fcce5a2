"""docs/configuration.md matches Pulumi.yaml and is complete."""

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tools.configuration import DOCUMENT, ROOT, ConfigurationError, main, render

SCHEMA: dict[str, Any] = {
    "pulumi:autonaming": {"value": {"pattern": "${name}"}},
    "logLevel": {"type": "string", "default": "INFO", "description": "Least severe line."},
    "corsOrigins": {
        "type": "array",
        "items": {"type": "string"},
        "default": ["*"],
        "description": "Allowed origins.",
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two keys of its own, and no stack."""
    write(tmp_path, SCHEMA)
    return tmp_path


def write(root: Path, schema: dict[str, Any]) -> None:
    (root / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "shop", "config": schema}, sort_keys=False))


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / DOCUMENT).read_text("utf-8") == render(), "run `python -m tools.configuration`"


def test_every_key_of_the_schema_is_on_the_page() -> None:
    page = render()
    for key in yaml.safe_load((ROOT / "Pulumi.yaml").read_text("utf-8"))["config"]:
        assert f"| `{key}` |" in page


def test_a_key_has_a_row_with_type_default_and_meaning(project: Path) -> None:
    lines = render(project).splitlines()
    assert "| key | type | default | what it means |" in lines
    assert "| `logLevel` | string | `INFO` | Least severe line. |" in lines
    assert "| `corsOrigins` | array of strings | `['*']` | Allowed origins. |" in lines
    assert any(line.startswith("| `aws:region` |  | AWS region") for line in lines)
    assert any(line.startswith("| `pulumi:autonaming` | `{pattern: ") for line in lines)


def test_values_of_a_stack_do_not_change_the_page(project: Path) -> None:
    before = render(project)
    (project / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": {"shop:logLevel": "DEBUG"}}))
    assert render(project) == before


@pytest.mark.parametrize("field", ["type", "default", "description"])
def test_a_key_without_type_default_or_description_is_an_error(project: Path, field: str) -> None:
    incomplete = {name: value for name, value in SCHEMA["logLevel"].items() if name != field}
    write(project, {"logLevel": incomplete})
    with pytest.raises(ConfigurationError, match=f"^Pulumi.yaml declares logLevel without a {field}"):
        render(project)


def test_a_stale_page_is_found_and_written_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], project) == 1
    assert capsys.readouterr().err == (
        "docs/configuration.md is stale: run `python -m tools.configuration`.\n"
    )
    assert main([], project) == 0
    assert main(["--check"], project) == 0


def test_a_key_of_another_namespace_without_a_description_is_an_error(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, {**SCHEMA, "aws:profile": {"value": "shop"}})
    assert main([], project) == 1
    assert (
        capsys.readouterr().err
        == "tools/configuration.py has no description of aws:profile: add one to _FOREIGN.\n"
    )
