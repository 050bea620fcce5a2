"""The workflows are valid and pinned, have few permissions, and do not cancel a deployment."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from components import packaging
from local.aws.wire import serve_in_thread
from local.engine.program import PROJECT_ROOT
from tests.components.test_packaging import EVERY_PYTHON

WORKFLOWS: Final = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS: Final = sorted((PROJECT_ROOT / ".github" / "actions").glob("*/action.yml"))
FILES: Final = [*WORKFLOWS, *ACTIONS]
TEMPLATES: Final = PROJECT_ROOT / ".github" / "ISSUE_TEMPLATE"

# The permissions of each job. It has no others.
PERMISSIONS: Final = {
    ("check", "check"): {"contents": "read"},
    ("check", "mutants"): {"contents": "read"},
    ("check", "clients"): {"contents": "read"},
    ("preview", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("deploy", "check"): {"contents": "read"},
    ("deploy", "dev"): {"contents": "read", "id-token": "write"},
    ("deploy", "prod"): {"contents": "read", "id-token": "write"},
    ("drift", "drift"): {"contents": "read", "id-token": "write", "issues": "write"},
}
TRIGGERS: Final = {
    "check": {"pull_request", "workflow_call"},
    "preview": {"pull_request"},
    "deploy": {"push", "workflow_dispatch"},
    "drift": {"schedule", "workflow_dispatch"},
}
MAIN_ONLY: Final = "github.ref == 'refs/heads/main'"
# The author of the pull request, as GitHub advises; `github.actor` is the user of the last push:
# https://docs.github.com/en/code-security/tutorials/secure-your-dependencies/automate-dependabot-with-actions
OWN_AND_NOT_BY_DEPENDABOT: Final = (
    "github.event.pull_request.head.repo.full_name == github.repository"
    " && github.event.pull_request.user.login != 'dependabot[bot]'"
)
# The condition of each job. Without one, a job runs once the jobs that it needs have succeeded.
CONDITIONS: Final = {
    ("check", "check"): None,
    ("check", "mutants"): "github.event_name == 'pull_request'",
    ("check", "clients"): "github.event_name == 'pull_request'",
    ("preview", "preview"): OWN_AND_NOT_BY_DEPENDABOT,
    ("deploy", "check"): None,
    ("deploy", "dev"): MAIN_ONLY,
    ("deploy", "prod"): "vars.PROD_DEPLOYMENT != 'manual' || github.event_name == 'workflow_dispatch'",
    ("drift", "drift"): MAIN_ONLY,
}
# Jobs that run one at a time, and whether a newer one cancels an older one.
CONCURRENCY: Final = {
    ("check", "check"): {
        "group": "check-${{ matrix.python }}-${{ github.event.pull_request.number || github.sha }}",
        "cancel-in-progress": True,
    },
    ("check", "mutants"): {
        "group": "mutants-${{ github.event.pull_request.number }}",
        "cancel-in-progress": True,
    },
    ("check", "clients"): {
        "group": "clients-${{ github.event.pull_request.number }}",
        "cancel-in-progress": True,
    },
    ("preview", "preview"): {
        "group": "preview-${{ matrix.stack }}-${{ github.event.pull_request.number }}",
        "cancel-in-progress": True,
    },
    ("deploy", "check"): None,
    ("deploy", "dev"): {"group": "deploy-dev", "cancel-in-progress": False, "queue": "max"},
    ("deploy", "prod"): {"group": "deploy-prod", "cancel-in-progress": False},
    ("drift", "drift"): {"group": "drift-${{ matrix.stack }}", "cancel-in-progress": False},
}
BOTH_STACKS: Final = [{"stack": "dev", "where": "DEV"}, {"stack": "prod", "where": "PROD"}]
PREVIEW_OF_STACK: Final = {
    "environment": None,
    "role": "${{ vars[format('AWS_PREVIEW_ROLE_ARN_{0}', matrix.where)] }}",
    "region": "${{ vars[format('AWS_REGION_{0}', matrix.where)] }}",
    "backend": "${{ vars[format('PULUMI_BACKEND_URL_{0}', matrix.where)] }}",
    "stack": "${{ matrix.stack }}",
}
# Environment, role and stack of each job that runs Pulumi.
DESTINATIONS: Final = {
    ("preview", "preview"): PREVIEW_OF_STACK,
    ("deploy", "dev"): {
        "environment": "dev",
        "role": "${{ vars.AWS_DEPLOY_ROLE_ARN_DEV }}",
        "region": "${{ vars.AWS_REGION_DEV }}",
        "backend": "${{ vars.PULUMI_BACKEND_URL_DEV }}",
        "stack": "dev",
    },
    ("deploy", "prod"): {
        "environment": "prod",
        "role": "${{ vars.AWS_DEPLOY_ROLE_ARN_PROD }}",
        "region": "${{ vars.AWS_REGION_PROD }}",
        "backend": "${{ vars.PULUMI_BACKEND_URL_PROD }}",
        "stack": "prod",
    },
    ("drift", "drift"): PREVIEW_OF_STACK,
}
# The repository's variables for both stacks, as in docs/deploying.md.
VARIABLES: Final = {
    f"{name}_{where}"
    for name in ("AWS_DEPLOY_ROLE_ARN", "AWS_PREVIEW_ROLE_ARN", "AWS_REGION", "PULUMI_BACKEND_URL")
    for where in ("DEV", "PROD")
} | {"PROD_DEPLOYMENT"}
PINNED: Final = re.compile(r"uses: (?P<action>[\w.-]+/[\w./-]+)@(?P<sha>[0-9a-f]{40}) # v\d+\.\d+\.\d+")


@cache
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def triggers(workflow: Any) -> Any:
    return workflow[True]  # YAML 1.1 reads the key `on` as a truth value


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields the workflow, the id and the content of every job."""
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
        ("vendor.github-issue-config", [TEMPLATES / "config.yml"]),
        ("vendor.github-issue-forms", sorted({*TEMPLATES.glob("*.yml")} - {TEMPLATES / "config.yml"})),
    ],
)
def test_the_files_match_the_schemas_of_github(schema: str, files: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@each_file
def test_every_external_action_is_pinned_by_commit_and_names_its_version(path: Path) -> None:
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
def test_no_shell_line_contains_an_expression(path: Path) -> None:
    """The author of a pull request controls the values of some expressions; `env` passes them safely."""
    for step in steps_of(path):
        assert "${{" not in step.get("run", "")


@each_file
def test_no_secret_and_no_key_is_used(path: Path) -> None:
    text = path.read_text()
    for word in ("secrets.", "access-key", "PULUMI_ACCESS_TOKEN", "PASSPHRASE"):
        assert word not in text


def variables_in(text: str) -> set[str]:
    """Returns the repository's variables that a file reads, including names made from the matrix."""
    plain = set(re.findall(r"vars\.(\w+)", text))
    made = re.findall(r"vars\[format\('(\w+)_\{0\}', matrix\.where\)\]", text)
    assert len(re.findall(r"\bvars\b", text)) == len(re.findall(r"vars\.\w+", text)) + len(made)
    return plain | {f"{name}_{where}" for name in made for where in ("DEV", "PROD")}


def test_the_workflows_read_exactly_the_documented_variables() -> None:
    assert set().union(*(variables_in(path.read_text()) for path in WORKFLOWS)) == VARIABLES
    documented = (PROJECT_ROOT / "docs" / "deploying.md").read_text()
    assert [name for name in sorted(VARIABLES) if f"`{name}`" not in documented] == []


@each_file
def test_every_name_in_an_expression_is_defined(path: Path) -> None:
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


def test_each_workflow_has_exactly_its_triggers() -> None:
    assert {path.stem: set(triggers(load(path))) for path in WORKFLOWS} == TRIGGERS
    assert triggers(load(PROJECT_ROOT / ".github/workflows/deploy.yml"))["push"] == {"branches": ["main"]}


def test_every_job_has_exactly_the_permissions_it_needs() -> None:
    assert all(load(path)["permissions"] == {} for path in WORKFLOWS)
    assert {(workflow, name): job["permissions"] for workflow, name, job in jobs()} == PERMISSIONS


@each_job
def test_every_job_has_a_timeout_and_a_versioned_runner(
    workflow: str, name: str, job: dict[str, Any]
) -> None:
    if "uses" in job:
        assert job["uses"] == "./.github/workflows/check.yml"
        return
    assert 0 < job["timeout-minutes"] <= 60
    assert not job["runs-on"].endswith("latest")


@each_job
def test_a_checkout_stores_no_token(workflow: str, name: str, job: dict[str, Any]) -> None:
    for step in job.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout@"):
            history = {"fetch-depth": 0} if name == "mutants" else {}
            assert step["with"] == {"persist-credentials": False, **history}


@each_job
def test_a_job_waits_for_jobs_that_exist(workflow: str, name: str, job: dict[str, Any]) -> None:
    needs = job.get("needs", [])
    known = {other for path, other, _ in jobs() if path == workflow}
    assert set([needs] if isinstance(needs, str) else needs) <= known


def test_a_job_runs_only_for_main_or_for_a_trusted_pull_request() -> None:
    assert {(workflow, name): job.get("if") for workflow, name, job in jobs()} == CONDITIONS


def test_prod_waits_for_dev_and_dev_for_the_checks() -> None:
    deploy = load(PROJECT_ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert (deploy["dev"]["needs"], deploy["prod"]["needs"]) == ("check", "dev")


def test_deployments_run_one_at_a_time_and_are_not_cancelled() -> None:
    assert {(workflow, name): job.get("concurrency") for workflow, name, job in jobs()} == CONCURRENCY


def test_each_job_uses_its_own_stack_and_role() -> None:
    found = {}
    for workflow, name, job in jobs():
        given = {step["uses"].split("@")[0]: step["with"] for step in job.get("steps", []) if "with" in step}
        deploys, runs = given.get("./.github/actions/deploy"), given.get("pulumi/actions", {})
        if deploys or "cloud-url" in runs:
            prepared = given["./.github/actions/prepare"]
            found[workflow, name] = {
                "environment": job.get("environment", {}).get("name"),
                "role": prepared["role"],
                "region": prepared["region"],
                "backend": deploys["backend"] if deploys else runs["cloud-url"],
                "stack": deploys["stack"] if deploys else runs["stack-name"],
            }
    assert found == DESTINATIONS


@pytest.mark.parametrize("workflow", ["preview", "drift"])
def test_preview_and_drift_cover_both_stacks(workflow: str) -> None:
    job = load(PROJECT_ROOT / f".github/workflows/{workflow}.yml")["jobs"][workflow]
    assert job["strategy"]["matrix"] == {"include": BOTH_STACKS}


def test_packages_are_installed_by_hash_and_before_there_are_credentials() -> None:
    steps = list(steps_of(PROJECT_ROOT / ".github/actions/prepare/action.yml"))
    assert [step.get("name") or step["uses"].split("@")[0] for step in steps] == [
        "actions/setup-python",
        "Install what the program imports",
        "Build the Lambda layer",
        "Install what the policy pack imports",
        "aws-actions/configure-aws-credentials",
    ]
    # The bytecode of a deployment is Lambda's.
    assert f"python{steps[0]['with']['python-version']}" == packaging.RUNTIME
    assert steps[-1]["with"] == {
        "role-to-assume": "${{ inputs.role }}",
        "aws-region": "${{ inputs.region }}",
    }
    installs = [line for step in steps for line in step.get("run", "").splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert [line for line in installs if "--require-hashes" not in line] == []


def test_each_check_installs_and_requires_the_other_python() -> None:
    check = load(PROJECT_ROOT / ".github/workflows/check.yml")["jobs"]["check"]
    rows = check["strategy"]["matrix"]["include"]
    assert sorted((row["python"], row["other"]) for row in rows) == [("3.11", "3.13"), ("3.13", "3.11")]
    _, setup, cli, checks, proof = check["steps"]
    # Without a command the action only installs the CLI: https://github.com/pulumi/actions#installation-only
    assert cli["with"] == {"pulumi-version": version_of_pulumi()}
    # The last one becomes the default:
    # https://github.com/actions/setup-python/blob/main/docs/advanced-usage.md#specifying-multiple-pythonpypy-versions
    assert setup["with"]["python-version"].split("\n") == ["${{ matrix.other }}", "${{ matrix.python }}", ""]
    assert (checks["run"], proof["run"]) == ("make check PYTHON=python", "make proof PYTHON=python")
    assert checks["env"] == {EVERY_PYTHON: "true"}
    assert proof["env"] == {"REQUIRE_PULUMI": "true"}


def test_each_pull_request_requires_every_generated_client() -> None:
    *_, clients = load(PROJECT_ROOT / ".github/workflows/check.yml")["jobs"]["clients"]["steps"]
    assert clients == {"run": "make clients PYTHON=python", "env": {"REQUIRE_CLIENTS": "true"}}


def pulumi_steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, _, job in jobs():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("pulumi/actions@") and "command" in step["with"]:
                yield workflow, step["with"]


def version_of_pulumi() -> str:
    """Returns the version of the SDK, which the workflows use for the CLI too."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    (version,) = [pin for pin in project["dependencies"] if pin.startswith("pulumi==")]
    return str(version.removeprefix("pulumi=="))


def test_every_run_of_pulumi_uses_the_policy_pack_and_the_version_of_the_program() -> None:
    found = list(pulumi_steps())
    assert len(found) == 2
    for _, options in found:
        assert options["policyPacks"] == "policy"
        assert options["pulumi-version"] == version_of_pulumi()
    cli, up = steps_of(PROJECT_ROOT / ".github/actions/deploy/action.yml")
    assert cli["with"] == {"pulumi-version": version_of_pulumi()}
    assert "--policy-pack policy" in up["run"]


def test_previews_change_nothing_and_drift_fails_on_any_difference() -> None:
    commands = {workflow: options["command"] for workflow, options in pulumi_steps()}
    assert commands == {"preview": "preview", "drift": "preview"}
    (drift,) = [options for workflow, options in pulumi_steps() if workflow == "drift"]
    assert (drift["refresh"], drift["expect-no-changes"]) == (True, True)
    (preview,) = [options for workflow, options in pulumi_steps() if workflow == "preview"]
    assert (preview["comment-on-pr"], preview["always-include-summary"]) == (True, True)


# --- Shell scripts ------------------------------------------------------------------------------


def run(script: str, folder: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a step's script as GitHub's `shell: bash` does, without this machine's git settings."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **variables,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    result = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout.strip()


@pytest.fixture
def commits(tmp_path: Path) -> list[str]:
    """The commits of main in a repository `remote`, oldest first. Another branch is ahead of main."""
    remote = tmp_path / "remote"
    remote.mkdir()
    git(remote, "init", "--quiet", "--initial-branch", "main")
    made = []
    for message in ("first", "second"):
        git(remote, "commit", "--quiet", "--allow-empty", "--message", message)
        made.append(git(remote, "rev-parse", "HEAD"))
    git(remote, "checkout", "--quiet", "-b", "elsewhere/main")
    git(remote, "commit", "--quiet", "--allow-empty", "--message", "third")
    git(remote, "update-server-info")
    return made


def is_newest(remote: str, commit: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the step that succeeds only for the newest commit of main."""
    (step,) = steps_of(PROJECT_ROOT / ".github/actions/newest/action.yml")
    assert step["shell"] == "bash"
    assert set(step["env"]) == {"REMOTE", "GH_TOKEN"}
    given = {"REMOTE": remote, "GH_TOKEN": "", "GITHUB_SHA": commit, **variables}
    return run(step["run"], folder, given)


def test_the_newest_commit_of_main_succeeds(commits: list[str], tmp_path: Path) -> None:
    result = is_newest(str(tmp_path / "remote"), commits[1], tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_an_older_commit_fails_and_names_the_newer_one(commits: list[str], tmp_path: Path) -> None:
    older, newer = commits
    result = is_newest(str(tmp_path / "remote"), older, tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("::error title=Overtaken, nothing was deployed::")
    assert older in result.stdout
    assert newer in result.stdout


def test_the_job_fails_if_the_newest_commit_is_unknown(commits: list[str], tmp_path: Path) -> None:
    git(tmp_path / "remote", "branch", "--quiet", "--delete", "--force", "main")
    for remote in ("remote", "nowhere"):
        assert is_newest(str(tmp_path / remote), commits[1], tmp_path).returncode != 0


@pytest.fixture
def private(commits: list[str], tmp_path: Path) -> Iterator[str]:
    """The URL of that repository on a server that requires the token `t0ken`."""
    wanted = "Basic " + base64.b64encode(b"x-access-token:t0ken").decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == wanted:
                super().do_GET()
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    handler = functools.partial(Handler, directory=str(tmp_path))
    with serve_in_thread(handler) as url:
        yield f"{url}/remote/.git"


@pytest.mark.parametrize(("token", "code"), [("t0ken", 0), ("another", 128)])
def test_a_private_repository_is_read_with_the_token_of_the_job(
    token: str, code: int, private: str, commits: list[str], tmp_path: Path
) -> None:
    result = is_newest(private, commits[1], tmp_path, GH_TOKEN=token)
    assert result.returncode == code, result.stderr
    assert token not in result.stdout + result.stderr


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_deployment_first_checks_that_its_commit_is_the_newest(
    stack: str,
) -> None:
    """The check is a step of the job, so it runs after the approval and after the jobs that it needs."""
    job = load(PROJECT_ROOT / ".github/workflows/deploy.yml")["jobs"][stack]
    checkout, newest, *others = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert newest == {"uses": "./.github/actions/newest"}
    # No step runs after a failure.
    assert not [step for step in others if "if" in step or "continue-on-error" in step]


def test_a_failed_preview_is_reported_on_the_pull_request(tmp_path: Path) -> None:
    job = load(PROJECT_ROOT / ".github/workflows/preview.yml")["jobs"]["preview"]
    comment = job["steps"][-1]
    assert comment["if"] == "failure()"
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >arguments\ncat >body\n')
    gh.chmod(0o755)
    given = {
        "PULL_REQUEST": "7",
        "COMMIT": "c0ffee",
        "STACK": "prod",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/orders",
        "GITHUB_RUN_ID": "42",
    }
    assert set(comment["env"]) == {"GH_TOKEN", "PULL_REQUEST", "COMMIT", "STACK"}
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = run(comment["run"], tmp_path, {**given, **path})
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "arguments").read_text().split() == [
        *("pr", "comment", "7"),
        *("--repo", "acme/orders"),
        *("--body-file", "-"),
    ]
    body = (tmp_path / "body").read_text()
    assert body.startswith("The preview of `prod` **failed** for c0ffee: a rule of `policy/` ")
    assert "(https://github.com/acme/orders/actions/runs/42)" in body
    # The action edits its comment, so this sentence must stay true with any later text.
    ending = "A report of `prod` on this page, above or below, is of another commit or another attempt."
    assert " ".join(body.split()).endswith(ending)


@pytest.mark.parametrize(("existing", "command"), [("", "create"), ("7", "comment 7")])
def test_a_failed_comparison_is_reported_in_one_issue(existing: str, command: str, tmp_path: Path) -> None:
    report = load(PROJECT_ROOT / ".github/workflows/drift.yml")["jobs"]["drift"]["steps"][-1]
    assert report["if"] == "failure()"
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\nif [ "$2" = list ]; then echo "{existing}"; fi\necho "$*" >>calls\n')
    gh.chmod(0o755)
    given = {
        "STACK": "prod",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/orders",
        "GITHUB_RUN_ID": "42",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    result = run(report["run"], tmp_path, given)
    assert result.returncode == 0, result.stderr
    listed, written = (tmp_path / "calls").read_text().splitlines()
    assert 'in:title "Stack prod differs from main"' in listed
    assert written.startswith(f"issue {command} --repo acme/orders ")
    assert "https://github.com/acme/orders/actions/runs/42" in written
