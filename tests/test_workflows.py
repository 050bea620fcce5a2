"""The workflows are valid, pinned, give little away, and never stop an update midway."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from local.program import PROJECT_ROOT

WORKFLOWS: Final = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS: Final = sorted((PROJECT_ROOT / ".github" / "actions").glob("*/action.yml"))
FILES: Final = [*WORKFLOWS, *ACTIONS]

# Workflow and job to what it may do; nothing but this.
PERMISSIONS: Final = {
    ("check", "check"): {"contents": "read"},
    ("preview", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("deploy", "check"): {"contents": "read"},
    ("deploy", "dev"): {"contents": "read", "id-token": "write"},
    ("deploy", "prod"): {"contents": "read", "id-token": "write"},
    ("drift", "drift"): {"contents": "read", "id-token": "write"},
}
TRIGGERS: Final = {
    "check": {"pull_request", "workflow_call"},
    "preview": {"pull_request"},
    "deploy": {"push", "workflow_dispatch"},
    "drift": {"schedule", "workflow_dispatch"},
}
# What somebody has to set in the repository, for either stack; docs/deploying.md lists the same.
VARIABLES: Final = {
    f"{name}_{where}"
    for name in ("AWS_DEPLOY_ROLE_ARN", "AWS_PREVIEW_ROLE_ARN", "AWS_REGION", "PULUMI_BACKEND_URL")
    for where in ("DEV", "PROD")
}
PINNED: Final = re.compile(r"uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<sha>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


@cache
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def triggers(workflow: Any) -> Any:
    return workflow[True]  # YAML 1.1 reads the key `on` as a truth value


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every job: its workflow, its id, itself."""
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield path.stem, name, job


def steps_of(path: Path) -> Iterator[dict[str, Any]]:
    document = load(path)
    for part in [document.get("runs", {}), *document.get("jobs", {}).values()]:
        yield from part.get("steps", [])


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
each_job = pytest.mark.parametrize(
    ("workflow", "name", "job"), list(jobs()), ids=[f"{workflow}.{name}" for workflow, name, _ in jobs()]
)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-actions", ACTIONS),
        ("vendor.dependabot", [PROJECT_ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_the_files_are_what_github_expects(schema: str, files: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@each_file
def test_every_action_of_others_is_pinned_by_commit_and_names_its_version(path: Path) -> None:
    for line in path.read_text().splitlines():
        if "uses:" in line and "uses: ./" not in line:
            assert PINNED.search(line), line.strip()


def test_an_action_has_the_same_pin_wherever_it_is_used() -> None:
    pins: dict[str, set[str]] = {}
    for path in FILES:
        for found in PINNED.finditer(path.read_text()):
            pins.setdefault(found["action"], set()).add(found["sha"])
    assert pins
    assert {action: len(shas) for action, shas in pins.items() if len(shas) > 1} == {}


@each_file
def test_no_shell_line_is_put_together_from_an_expression(path: Path) -> None:
    """What stands in an expression may come from whoever opened the pull request; `env` passes it safely."""
    for step in steps_of(path):
        assert "${{" not in step.get("run", "")


@each_file
def test_no_secret_and_no_key_is_used(path: Path) -> None:
    text = path.read_text()
    for word in ("secrets.", "access-key", "PULUMI_ACCESS_TOKEN", "PASSPHRASE"):
        assert word not in text


def variables_in(text: str) -> set[str]:
    """The repository's variables that a file reads, by name or by a name put together from the matrix."""
    plain = set(re.findall(r"vars\.(\w+)", text))
    made = re.findall(r"vars\[format\('(\w+)_\{0\}', matrix\.where\)\]", text)
    assert len(re.findall(r"\bvars\b", text)) == len(re.findall(r"vars\.\w+", text)) + len(made)
    return plain | {f"{name}_{where}" for name in made for where in ("DEV", "PROD")}


def test_the_workflows_read_exactly_the_documented_variables() -> None:
    assert set().union(*(variables_in(path.read_text()) for path in WORKFLOWS)) == VARIABLES
    documented = (PROJECT_ROOT / "docs" / "deploying.md").read_text()
    assert [name for name in sorted(VARIABLES) if f"`{name}`" not in documented] == []


@each_file
def test_what_an_expression_names_is_there(path: Path) -> None:
    contexts = {"github", "matrix", "vars", "steps", "inputs"}
    document = load(path)
    for expression in re.findall(r"\$\{\{(.*?)\}\}", path.read_text()):
        for context, name in re.findall(r"\b(\w+)\.(\w+)", expression):
            if context == "inputs":
                assert name in document["inputs"]
            elif context == "steps":
                assert name in [step.get("id") for step in steps_of(path)]
            elif context == "matrix":
                assert name in {key for _, _, job in jobs() for key in _matrix(job)}
            else:
                assert context in contexts | {"event", "pull_request", "outputs"}, expression


def _matrix(job: dict[str, Any]) -> set[str]:
    matrix = job.get("strategy", {}).get("matrix", {})
    return {key for key in matrix if key != "include"} | {
        key for row in matrix.get("include", []) for key in row
    }


def test_each_workflow_starts_on_what_it_is_for_and_never_with_rights_over_foreign_code() -> None:
    assert {path.stem: set(triggers(load(path))) for path in WORKFLOWS} == TRIGGERS
    assert triggers(load(PROJECT_ROOT / ".github/workflows/deploy.yml"))["push"] == {"branches": ["main"]}


def test_every_job_has_exactly_the_permissions_it_needs() -> None:
    assert all(load(path)["permissions"] == {} for path in WORKFLOWS)
    assert {(workflow, name): job["permissions"] for workflow, name, job in jobs()} == PERMISSIONS


@each_job
def test_every_job_ends_in_time_and_runs_on_a_named_system(
    workflow: str, name: str, job: dict[str, Any]
) -> None:
    if "uses" in job:
        assert job["uses"] == "./.github/workflows/check.yml"
        return
    assert 0 < job["timeout-minutes"] <= 60
    assert not job["runs-on"].endswith("latest")


@each_job
def test_a_checkout_leaves_no_token_behind(workflow: str, name: str, job: dict[str, Any]) -> None:
    for step in job.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@each_job
def test_a_job_waits_for_jobs_that_exist(workflow: str, name: str, job: dict[str, Any]) -> None:
    needs = job.get("needs", [])
    known = {other for path, other, _ in jobs() if path == workflow}
    assert set([needs] if isinstance(needs, str) else needs) <= known


def test_a_deployment_is_one_at_a_time_and_never_cancelled() -> None:
    deploy = load(PROJECT_ROOT / ".github/workflows/deploy.yml")["jobs"]
    for stack in ("dev", "prod"):
        assert deploy[stack]["concurrency"] == {"group": f"deploy-{stack}", "cancel-in-progress": False}
        assert deploy[stack]["environment"]["name"] == stack
    assert (deploy["dev"]["needs"], deploy["prod"]["needs"]) == ("check", "dev")
    assert deploy["dev"]["if"] == "github.ref == 'refs/heads/main'"


def test_a_pull_request_from_a_fork_gets_no_preview() -> None:
    preview = load(PROJECT_ROOT / ".github/workflows/preview.yml")["jobs"]["preview"]
    assert preview["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


def pulumi_steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, _, job in jobs():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("pulumi/actions@"):
                yield workflow, step["with"]


def test_every_run_of_pulumi_is_held_to_the_rules_and_is_the_version_of_the_program() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    (version,) = [pin for pin in project["dependencies"] if pin.startswith("pulumi==")]
    found = list(pulumi_steps())
    assert len(found) == 4
    for _, options in found:
        assert options["policyPacks"] == "policy"
        assert f"pulumi=={options['pulumi-version']}" == version


def test_previews_only_look_and_drift_fails_on_any_difference() -> None:
    commands = {workflow: options["command"] for workflow, options in pulumi_steps()}
    assert commands == {"preview": "preview", "deploy": "up", "drift": "preview"}
    (drift,) = [options for workflow, options in pulumi_steps() if workflow == "drift"]
    assert (drift["refresh"], drift["expect-no-changes"]) == (True, True)
    (preview,) = [options for workflow, options in pulumi_steps() if workflow == "preview"]
    assert preview["comment-on-pr"] is True
