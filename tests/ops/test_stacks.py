"""The stack that the operator's commands act on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import local.stack
from local.memory.functions import ENVIRONMENT
from ops.cli import app
from ops.stacks import NoStack, find_stack, find_stack_names, on_aws
from tests.ops.conftest import OUTPUTS

MACHINE = ENVIRONMENT["STATE_MACHINE_ARN"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of programs on a machine without a Pulumi CLI and without a running embedded AWS."""

    def connect() -> None:
        raise local.stack.StackError("The embedded AWS is not running; `python -m local up` starts it.")

    monkeypatch.setattr(local.stack, "connect", connect)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def install_pulumi(programs: Path, script: str) -> None:
    program = programs / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def run_local_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an embedded AWS run."""
    running = SimpleNamespace(
        outputs=OUTPUTS, endpoint=SimpleNamespace(url="http://127.0.0.1:4566"), client=None
    )
    monkeypatch.setattr(local.stack, "connect", lambda: running)


def with_machine(arn: str) -> str:
    """Outputs with another state machine, as JSON."""
    return json.dumps({**OUTPUTS, "stateMachineArn": arn})


def named_machine(stack: str) -> str:
    """Outputs with a state machine as Pulumi names it, as JSON."""
    return with_machine(MACHINE.replace("order_fulfillment", f"orderflow-order_fulfillment-{stack}-1a2b3c"))


# --- from its exports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1"), ("aws-eusc", "eusc-de-east-1")],
)
def test_regions_of_all_partitions_are_accepted(partition: str, region: str) -> None:
    arn = MACHINE.replace("aws", partition, 1).replace("eu-central-1", region)
    assert on_aws("dev", {**OUTPUTS, "stateMachineArn": arn}).client("sqs").meta.region_name == region


def test_region_and_account_are_those_of_the_state_machine() -> None:
    stack = on_aws("dev", OUTPUTS)
    assert stack.name == "dev (account 123456789012, eu-central-1)"
    assert stack.client("sqs").meta.region_name == "eu-central-1"


def test_outputs_of_another_project_are_refused() -> None:
    with pytest.raises(NoStack, match=r"stack x are not those of an orderflow stack: .*`tableNames`"):
        on_aws("x", {"url": "https://example.com"})


# --- by its name ------------------------------------------------------------------------------------------


def test_local_is_the_embedded_aws(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_local_stack(monkeypatch)
    assert find_stack("local").name == "local (embedded AWS, http://127.0.0.1:4566)"


def test_an_embedded_aws_that_is_not_running_is_reported(programs: Path) -> None:
    with pytest.raises(NoStack, match="`python -m local up` starts it"):
        find_stack("local")


def test_the_pulumi_cli_is_asked_for_any_other_name(programs: Path) -> None:
    (programs / "outputs").write_text(json.dumps(OUTPUTS) + "\n")
    install_pulumi(
        programs,
        '[ "$*" = "stack output --json --stack prod --non-interactive" ] || exit 9\n'
        f'while read -r line; do echo "$line"; done < {programs / "outputs"}',
    )
    assert find_stack("prod").name.startswith("prod (")


def test_without_the_pulumi_cli_the_error_says_what_to_do(programs: Path) -> None:
    with pytest.raises(
        NoStack, match=r"--stack prod > outputs\.json` elsewhere and add --outputs outputs\.json"
    ):
        find_stack("prod")


def test_the_error_of_the_pulumi_cli_is_repeated_with_the_stacks_that_exist(programs: Path) -> None:
    install_pulumi(
        programs,
        """case "$*" in
        "stack ls"*) echo '[{"name": "dev"}, {"name": "prod"}]' ;;
        *) echo "error: no stack named 'prdo' found" >&2; exit 255 ;;
        esac""",
    )
    with pytest.raises(NoStack) as raised:
        find_stack("prdo")
    assert str(raised.value) == (
        "The Pulumi CLI cannot read the outputs of stack prdo: error: no stack named 'prdo' found. "
        "Stacks that were found: dev, prod."
    )


# --- the names that are found -----------------------------------------------------------------------------


def test_the_running_local_stack_and_those_of_the_pulumi_cli_are_found(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_pulumi(programs, """echo '[{"name": "dev", "current": true}, {"name": "acme/prod"}]'""")
    assert find_stack_names() == ["dev", "acme/prod"]
    run_local_stack(monkeypatch)
    assert find_stack_names() == ["local", "dev", "acme/prod"]


@pytest.mark.parametrize(
    "script", [None, "exit 255", "echo '{}'"], ids=["no CLI", "no login", "other answer"]
)
def test_without_an_answer_of_the_pulumi_cli_the_configured_stacks_are_found(
    programs: Path, script: str | None
) -> None:
    if script is not None:
        install_pulumi(programs, script)
    assert find_stack_names() == ["dev", "prod"]


# --- from a file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["prod", "acme/orderflow/prod"])
def test_a_file_of_the_named_stack_is_accepted(tmp_path: Path, stack: str) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(named_machine("prod"))
    assert find_stack(stack, file).name == f"{stack} (account 123456789012, eu-central-1)"


def test_a_file_of_another_stack_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(named_machine("dev-2"))
    with pytest.raises(
        NoStack, match=r"has the outputs of stack dev-2, not of prod\. Write --stack dev-2, or"
    ):
        find_stack("prod", file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not JSON"),
        ("[]", "does not have the outputs of a stack"),
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
    file = tmp_path / "outputs.json"
    if content is not None:
        file.write_text(content)
    result = CliRunner().invoke(app, ["dlq", "list", "--stack", "dev", "--outputs", str(file)])
    assert result.exit_code == 3
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
