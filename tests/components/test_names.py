"""Names that the program composes are within AWS's limits and unique per stack."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.names import longest_stack_name, sampling_rule_name
from components.packaging import PROJECT_ROOT, function_names
from local.engine.program import ProgramError, ProgramRun, run_program
from local.engine.recorder import Recorder
from local.engine.stacks import declare_test_stack
from tests.components.recorded import ROLE


def test_a_short_name_is_project_and_stack() -> None:
    assert sampling_rule_name("orderflow", "prod") == "orderflow-prod"
    assert sampling_rule_name("orderflow", "s" * 22) == f"orderflow-{'s' * 22}"


def test_long_names_are_shortened_and_stay_distinct() -> None:
    names = {sampling_rule_name("orderflow", f"review-of-a-long-branch-{number}") for number in range(50)}
    assert len(names) == 50
    assert {len(name) for name in names} == {32}
    assert all(name.startswith("orderflow-review-of-a-lo") for name in names)


def test_a_shortened_name_does_not_change() -> None:
    name = sampling_rule_name("orderflow", "review-of-a-long-branch-name")
    assert name == "orderflow-review-of-a-lon-b1e4ed"


def test_the_program_gives_the_sampling_rule_this_name() -> None:
    (rule,) = declare_test_stack().of_type("aws:xray/samplingRule:SamplingRule")
    assert rule.inputs["ruleName"] == sampling_rule_name("orderflow", "dev")


def run_stack(name: str, root: Path) -> ProgramRun:
    """Runs the program for a stack of this name."""
    project = (PROJECT_ROOT / "Pulumi.yaml").read_text()
    (root / "Pulumi.yaml").write_text(f"{project}main: {PROJECT_ROOT}\n")
    (root / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    return run_program(name, Recorder(), root=root)


def test_a_stack_name_is_limited_by_the_length_of_its_role_names(tmp_path: Path) -> None:
    longest = longest_stack_name("orderflow", function_names())
    roles = run_stack("s" * longest, tmp_path).of_type(ROLE)
    assert max(len(role.outputs["name"]) for role in roles) == 64
    with pytest.raises(ProgramError, match=rf"has {longest + 1} characters\. Use at most {longest}:"):
        run_stack("s" * (longest + 1), tmp_path)


def test_a_stack_name_has_only_characters_allowed_for_queues_and_functions(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"name feature\.1 is not allowed\. Use letters, digits, - and _:"):
        run_stack("feature.1", tmp_path)


def test_the_module_of_names_does_not_import_the_sdk() -> None:
    program = "import sys, components.names; sys.exit(any(name.startswith('pulumi') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, check=True)
