"""The runbook: every alarm has a section, and every command in it exists."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main

from components.packaging import function_names
from local.engine.stacks import declare_test_stack, table_schemas
from ops.cli import app
from ops.stacks import PROJECT_ROOT

RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text()
HEADINGS = {
    re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    for heading in re.findall(r"^##+ (.+)$", RUNBOOK, re.MULTILINE)
}
ANCHORS = HEADINGS | set(re.findall(r'<a id="([^"]+)">', RUNBOOK))
COMMANDS = sorted(set(re.findall(r"python -m ops ((?:orders|dlq) [^\n`;>]+)", RUNBOOK)))


def test_every_alarm_has_a_place_in_the_runbook() -> None:
    alarms = {
        alarm.name for alarm in declare_test_stack("prod").of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    assert alarms <= ANCHORS


def test_every_function_and_table_has_its_places() -> None:
    functions = {f"{name}_{kind}" for name in function_names() for kind in ("errors", "throttles")}
    tables = {f"{name}_{kind}" for name in table_schemas() for kind in ("throttles", "system_errors")}
    assert functions | tables <= ANCHORS


def test_every_link_within_the_runbook_leads_somewhere() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= ANCHORS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", RUNBOOK))))
def test_every_file_that_the_runbook_links_to_is_there(path: str) -> None:
    assert (PROJECT_ROOT / "docs" / path).resolve().exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_runbook_is_one(command: str) -> None:
    group = typer.main.get_command(app)
    name, verb, *arguments = shlex.split(command)
    subcommand = group.commands[name].commands[verb]  # type: ignore[attr-defined]
    wanted = [argument for argument in arguments if argument.startswith("--")]
    assert set(wanted) <= {option for parameter in subcommand.params for option in parameter.opts}
