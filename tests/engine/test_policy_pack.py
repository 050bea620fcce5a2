"""The policy pack as the CLI runs it: it refuses one broken resource per rule, before anything is changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pulumi_policy import StackValidationPolicy

from policy.resources import METRIC_ALARM
from policy.rules import RULES
from tests.engine.workspace import Deployed, Workspace
from tests.policy.evaluation import rule
from tests.policy.test_rules import BROKEN

# A rule, and the resource that breaks it: type, logical name, and the changed inputs.
Row = tuple[str, str, str, Mapping[str, Any]]
ROWS: list[Row] = [
    *BROKEN,
    ("alarms-have-action-and-runbook", METRIC_ALARM, "orders_api_errors", {"alarmActions": []}),
]
# Rules that are broken by what the program does not declare.
ADDED = {
    "no-secret-in-the-open": 'pulumi.export("clientPassword", "correct-horse-1")',
    "types-are-covered": 'import pulumi_aws\npulumi_aws.sns.SmsPreferences("text-messages")',
}
# Changes the inputs of what is declared after it, as the last of the program's transformations.
BREAK = """
import json as _json, pathlib as _pathlib, re as _re

def _break(args):
    for kind, name, changes in _json.loads(_pathlib.Path("broken.json").read_text()):
        if (args.type_, args.name) == (kind, name):
            for key, value in changes.items():
                args.props[_re.sub("([A-Z])", r"_\\1", key).lower()] = value
    return pulumi.ResourceTransformationResult(args.props, args.opts)

pulumi.runtime.register_stack_transformation(_break)
"""
BEFORE_RESOURCES = "\nTASK_TIMEOUT = "


def is_of_stack(name: str) -> bool:
    return isinstance(rule(name), StackValidationPolicy)


def batches() -> list[list[Row]]:
    """One row per rule. The rows of a batch change different resources.

    Rules for the stack have batches of their own: the engine checks them only if no resource breaks a rule.
    """
    made: list[list[Row]] = []
    for of_stack in (False, True):
        left = [row for row in ROWS if is_of_stack(row[0]) == of_stack]
        while left:
            batch: dict[tuple[str, str], Row] = {}
            for row in left:
                if row[0] not in {other[0] for other in batch.values()}:
                    batch.setdefault(row[1:3], row)
            made.append(list(batch.values()))
            done = {row[0] for row in made[-1]}
            left = [row for row in left if row[0] not in done]
    return made


def break_program(workspace: Workspace, rows: Sequence[Row], added: Sequence[str]) -> None:
    program = workspace.project / "__main__.py"
    text = program.read_text("utf-8")
    assert text.count(BEFORE_RESOURCES) == 1
    text = text.replace(BEFORE_RESOURCES, f"{BREAK}{BEFORE_RESOURCES}")
    program.write_text("\n".join([text, *added, ""]), "utf-8")
    broken = json.dumps([[kind, name, changes] for _, kind, name, changes in rows])
    (workspace.project / "broken.json").write_text(broken, "utf-8")


def test_every_rule_is_tried() -> None:
    assert {row[0] for batch in batches() for row in batch} | set(ADDED) == {found.name for found in RULES}


@pytest.mark.parametrize("rows", batches(), ids=lambda rows: rows[0][0])
def test_the_cli_refuses_what_breaks_a_rule(rows: list[Row], deployed: Deployed, tmp_path: Path) -> None:
    of_stack = is_of_stack(rows[0][0])
    added = {name: line for name, line in ADDED.items() if is_of_stack(name) == of_stack}
    workspace = deployed.copy("everything", tmp_path / "everything")
    break_program(workspace, rows, list(added.values()))

    with workspace.changes() as changes:
        refused = workspace.pulumi("up", "--policy-pack", "policy", status=None)
    assert refused.status != 0
    found = re.findall(r"\[mandatory\]\s+(\S+)\s+\(", refused.text)
    assert set(found) == {row[0] for row in rows} | set(added)
    assert changes().nothing
