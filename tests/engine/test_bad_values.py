"""What the CLI prints about a value that is not allowed: the messages of tests/components/settings."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

import pytest

from local.engine.program import PROJECT_ROOT
from local.engine.stack_config import ConfigError, load_stack_config
from tests.components import settings
from tests.engine.workspace import Workspace, require_cli

Mistake = tuple[dict[str, Any], str]


def subjects() -> dict[str, list[Mistake]]:
    """The table of each subject of the configuration."""
    modules = {name: importlib.import_module(f"{settings.__name__}.{name}") for name in names()}
    return {name: module.MISTAKES for name, module in modules.items() if hasattr(module, "MISTAKES")}


def names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(settings.__path__)]


def expected_line(changes: Mapping[str, Any], message: str) -> str:
    """The CLI itself refuses what is not of the type in Pulumi.yaml, without the value."""
    try:
        load_stack_config(PROJECT_ROOT, "dev", changes)
    except ConfigError as error:
        return f"error: validating stack config: {str(error).partition(', but is ')[0]}"
    return f"error: {message}"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    require_cli()
    made = Workspace.make(tmp_path_factory.mktemp("bad-values"))
    made.init("dev", {})
    return made


@pytest.mark.parametrize(("subject", "mistakes"), subjects().items(), ids=list(subjects()))
def test_the_cli_prints_the_message_of_each_bad_value(
    subject: str, mistakes: list[Mistake], workspace: Workspace
) -> None:
    for changes, message in mistakes:
        workspace.set_configuration(changes)
        printed = workspace.pulumi("preview", status=None)
        assert printed.status != 0
        assert expected_line(changes, message) in [line.strip() for line in printed.text.splitlines()]
        assert "Traceback" not in printed.text


def test_the_cli_names_the_values_that_are_missing(workspace: Workspace) -> None:
    (workspace.project / "bootstrap" / "Pulumi.dev.yaml").write_text("config: {}\n", "utf-8")
    workspace.pulumi("stack", "init", "dev", folder="bootstrap")
    printed = workspace.pulumi("preview", status=None, folder="bootstrap").text
    with pytest.raises(ConfigError) as error:
        load_stack_config(workspace.project / "bootstrap", "dev")
    assert f"error: validating stack config: {error.value}".removesuffix(".") in printed
