"""Which stack the operator's commands act on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import local.stack
from local.memory.functions import ENVIRONMENT
from ops.targets import NoStack, find_target, on_aws
from tests.ops.conftest import OUTPUTS

MACHINE = ENVIRONMENT["STATE_MACHINE_ARN"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a Pulumi CLI and without a running embedded AWS; answers its folder of programs."""

    def not_running() -> None:
        raise local.stack.StackError("The embedded AWS is not running; `python -m local up` starts it.")

    monkeypatch.setattr(local.stack, "connect", not_running)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def install_pulumi(programs: Path, script: str) -> None:
    program = programs / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def with_machine(arn: str) -> str:
    """Outputs that name another state machine, as JSON."""
    return json.dumps({**OUTPUTS, "stateMachineArn": arn})


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1"), ("aws-eusc", "eusc-de-east-1")],
)
def test_regions_of_all_partitions_are_taken(partition: str, region: str) -> None:
    arn = MACHINE.replace("aws", partition, 1).replace("eu-central-1", region)
    assert on_aws("the stack", {**OUTPUTS, "stateMachineArn": arn}).client("sqs").meta.region_name == region


def test_the_region_is_that_of_the_state_machine_and_the_name_says_the_account() -> None:
    target = on_aws("the stack dev", OUTPUTS)
    assert target.name == "the stack dev (account 123456789012, eu-central-1)"
    assert target.client("sqs").meta.region_name == "eu-central-1"


def test_outputs_of_another_project_are_refused() -> None:
    with pytest.raises(NoStack, match=r"the stack x are not those of an orderflow stack: .*`tableNames`"):
        on_aws("the stack x", {"url": "https://example.com"})


def test_without_any_stack_the_ways_to_name_one_are_told(elsewhere: Path) -> None:
    with pytest.raises(NoStack, match="use --local, --stack or --outputs"):
        find_target(local=False, outputs=None, stack=None)


def test_the_embedded_aws_that_is_not_running_is_told_so(elsewhere: Path) -> None:
    with pytest.raises(NoStack, match="`python -m local up` starts it"):
        find_target(local=True, outputs=None, stack=None)


def test_a_named_stack_without_the_pulumi_cli_says_what_to_do_instead(elsewhere: Path) -> None:
    with pytest.raises(NoStack, match=r"use --outputs outputs\.json"):
        find_target(local=False, outputs=None, stack="prod")


def test_a_named_stack_is_asked_of_the_pulumi_cli(elsewhere: Path) -> None:
    (elsewhere / "outputs").write_text(json.dumps(OUTPUTS))
    install_pulumi(
        elsewhere,
        '[ "$*" = "stack output --json --non-interactive --stack prod" ] || exit 9\n'
        f'while read -r line; do echo "$line"; done < {elsewhere / "outputs"}',
    )
    (elsewhere / "outputs").write_text(json.dumps(OUTPUTS) + "\n")
    target = find_target(local=False, outputs=None, stack="prod")
    assert target.name.startswith("the stack prod (")


def test_without_options_the_selected_pulumi_stack_is_the_last_resort(elsewhere: Path) -> None:
    install_pulumi(elsewhere, "echo 'error: no stack selected' >&2; exit 255")
    with pytest.raises(NoStack, match="does not tell the outputs: error: no stack selected"):
        find_target(local=False, outputs=None, stack=None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "does not hold JSON"),
        ("[]", "does not hold the outputs of a stack"),
        ("{}", "are not those of an orderflow stack"),
        (with_machine("order_fulfillment"), "is not the ARN of a state machine: order_fulfillment."),
        (with_machine(MACHINE.replace("eu-central-1", "eu central")), "is not the ARN of a state machine"),
        (with_machine(MACHINE.replace("eu-central-1", "")), "is not the ARN of a state machine"),
        (
            with_machine(MACHINE.replace("eu-central-1", "x.example.com/")),
            "is not the ARN of a state machine",
        ),
        (with_machine(MACHINE.replace("eu-central-1", "eu-central-1\x1b[2J")), r"eu-central-1\u001b[2J"),
    ],
)
def test_a_file_without_outputs_ends_with_one_sentence(
    tmp_path: Path, content: str | None, sentence: str
) -> None:
    from ops.cli import app

    file = tmp_path / "outputs.json"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(app, ["dlq", "list", "--outputs", str(file)])
    assert result.exit_code == 3
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_several_stacks_at_once_are_wrong_usage() -> None:
    from ops.cli import app

    result = CliRunner().invoke(app, ["dlq", "list", "--local", "--stack", "prod"])
    assert result.exit_code == 2
    assert "one of --local, --outputs and --stack" in result.stderr
