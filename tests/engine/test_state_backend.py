"""The state in S3, its secrets under a KMS key, and the roles of bootstrap/ that may use both.

The embedded AWS serves S3 and KMS, and denies what a role's policies do not allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from bootstrap.permissions import Target, allow_reading_state, allow_writing_state
from local.aws.emulator import ACCOUNT_ID
from tests.engine.s3_backend import BUCKET, Backend, s3_backend
from tests.engine.workspace import REGION, Output, require_cli

# A stack without resources: what the CLI asks of S3 and KMS does not depend on them.
PROGRAM = "import pulumi\n\npulumi.export('password', pulumi.Output.secret('hunter2'))\n"
COMMANDS = {
    "preview": ("preview", "preview --refresh", "stack output --json"),
    "deploy": ("preview", "up --skip-preview --refresh", "stack output --json", "cancel --yes"),
}

Document = Mapping[str, Any]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    require_cli()
    with s3_backend(tmp_path_factory.mktemp("state-backend")) as made:
        workspace = made.workspace
        (workspace.project / "__main__.py").write_text(PROGRAM, "utf-8")
        workspace.pulumi("login", f"s3://{BUCKET}?region={REGION}")
        for stack in ("prod", "dev"):
            workspace.environment["PULUMI_STACK"] = stack
            workspace.set_configuration({})
            provider = f"awskms:///{made.key_arn}?region={REGION}"
            workspace.pulumi("stack", "init", stack, "--secrets-provider", provider)
            workspace.up()
        yield made


def policies(backend: Backend) -> dict[str, Document]:
    """What bootstrap/ allows each role to do with the state of dev, and with the key of its secrets."""
    target = Target(
        stack="dev",
        partition="aws",
        region=REGION,
        account=ACCOUNT_ID,
        state_bucket=BUCKET,
        secrets_key_arn=backend.key_arn,
    )
    return {
        "preview": json.loads(allow_reading_state(target)),
        "deploy": json.loads(allow_writing_state(target)),
    }


def run_as(role: str, document: Document, commands: Iterable[str], backend: Backend) -> list[Output]:
    """Runs commands of the CLI with the credentials of a new role that may do what the document says."""
    iam = backend.endpoint.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ID}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName=role, PolicyName="state", PolicyDocument=json.dumps(document))
    assumed = backend.endpoint.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{role}", RoleSessionName="engine"
    )["Credentials"]
    credentials = {
        "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
        "AWS_SESSION_TOKEN": assumed["SessionToken"],
    }
    return [
        backend.workspace.pulumi(*command.split(), environment=credentials, status=None)
        for command in commands
    ]


def check_denied(output: Output) -> None:
    assert output.status != 0
    assert "is not authorized to perform" in output.text or "StatusCode: 403" in output.text


def without(document: Document, resource: str) -> Document:
    """The document without what it allows on a resource."""
    statements = [
        {**statement, "Resource": [found for found in statement["Resource"] if found != resource]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in statements if statement["Resource"]]}


@pytest.mark.parametrize("role", COMMANDS)
def test_a_role_may_run_its_commands(role: str, backend: Backend) -> None:
    for output in run_as(role, policies(backend)[role], COMMANDS[role], backend):
        assert output.status == 0, output.text


def test_the_preview_role_changes_nothing(backend: Backend) -> None:
    commands = ("up --skip-preview", "refresh --skip-preview", "stack rm --yes --force")
    for output in run_as("changes", policies(backend)["preview"], commands, backend):
        check_denied(output)


@pytest.mark.parametrize("role", COMMANDS)
def test_a_role_reaches_only_its_own_stack(role: str, backend: Backend) -> None:
    commands = ["stack output --json --stack prod"]
    (output,) = run_as(f"other-{role}", policies(backend)[role], commands, backend)
    check_denied(output)


def test_up_needs_every_resource_that_the_deploy_role_may_use(backend: Backend) -> None:
    document = policies(backend)["deploy"]
    resources = {name for statement in document["Statement"] for name in statement["Resource"]}
    for number, resource in enumerate(sorted(resources)):
        less = without(document, resource)
        (output,) = run_as(f"less-{number}", less, ["up --skip-preview"], backend)
        check_denied(output)


def test_the_state_holds_no_secret_in_the_open(backend: Backend) -> None:
    s3 = backend.endpoint.client("s3")
    names = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any(name == ".pulumi/stacks/orderflow/dev.json" for name in names)
    for name in names:
        assert b"hunter2" not in s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
