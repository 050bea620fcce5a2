"""The state in S3, its secrets under a KMS key, and the roles of bootstrap/ that may use both.

The embedded AWS serves S3 and KMS, and denies what a role's policies do not allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from bootstrap.permissions import Target, can_read_state, can_write_state
from local.aws.emulator import ACCOUNT_ID, SECRET_ACCESS_KEY, Endpoint, start_emulator
from tests.engine.workspace import PULUMI, REGION, Output, Workspace

BUCKET = "acme-state"
# A stack without resources: what the CLI asks of S3 and KMS does not depend on them.
PROGRAM = "import pulumi\n\npulumi.export('password', pulumi.Output.secret('hunter2'))\n"
PREVIEW_COMMANDS = ("preview", "preview --refresh", "stack output --json")
DEPLOY_COMMANDS = (
    "preview",
    "up --skip-preview",
    "up --skip-preview --refresh",
    "stack output --json",
    "cancel --yes",
)

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Backend:
    """A stack whose state is in S3, and the account that the state is in."""

    workspace: Workspace
    endpoint: Endpoint
    target: Target

    def credentials(self, role: str, document: Document) -> dict[str, str]:
        """Credentials of a role that may do what the document says."""
        iam = self.endpoint.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ID}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
        iam.put_role_policy(RoleName=role, PolicyName="state", PolicyDocument=json.dumps(document))
        assumed = self.endpoint.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{role}", RoleSessionName="engine"
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }

    def run(self, command: str, credentials: Mapping[str, str], **options: Any) -> Output:
        """Runs a command of the CLI with these credentials."""
        return self.workspace.pulumi(*command.split(), environment=credentials, **options)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    if PULUMI is None:
        pytest.skip("there is no pulumi on PATH")
    with start_emulator(region=REGION) as emulator:
        endpoint = emulator.endpoint
        endpoint.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        key = endpoint.client("kms").create_key()["KeyMetadata"]["Arn"]
        workspace = Workspace.make(tmp_path_factory.mktemp("state-backend"))
        (workspace.project / "__main__.py").write_text(PROGRAM, "utf-8")
        del workspace.environment["PULUMI_CONFIG_PASSPHRASE"]
        workspace.environment |= {
            "AWS_ENDPOINT_URL_KMS": endpoint.url,
            "NO_PROXY": "*",
            "PULUMI_BACKEND_URL": f"s3://{BUCKET}?region={REGION}"
            f"&endpoint=127.0.0.1:{endpoint.port}&s3ForcePathStyle=true&disableSSL=true",
        }
        target = Target(
            stack="dev",
            partition="aws",
            region=REGION,
            account=ACCOUNT_ID,
            state_bucket=BUCKET,
            secrets_key_arn=key,
        )
        made = Backend(workspace, endpoint, target)
        for stack in ("prod", "dev"):
            workspace.environment["PULUMI_STACK"] = stack
            workspace.set_configuration({})
            provider = f"awskms:///{key}?region={REGION}"
            made.run(f"stack init {stack} --secrets-provider {provider}", administrator(endpoint))
            made.run("up --skip-preview", administrator(endpoint))
        yield made


def administrator(endpoint: Endpoint) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": endpoint.access_key_id, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}


def without(document: Document, resource: str) -> Document:
    """The document without what it allows on a resource."""
    statements = [
        {**statement, "Resource": [found for found in statement["Resource"] if found != resource]}
        for statement in document["Statement"]
    ]
    return {**document, "Statement": [statement for statement in statements if statement["Resource"]]}


def test_the_deploy_role_may_run_its_commands(backend: Backend) -> None:
    credentials = backend.credentials("deploy", json.loads(can_write_state(backend.target)))
    for command in DEPLOY_COMMANDS:
        backend.run(command, credentials)


def test_the_preview_role_may_run_its_commands_and_change_nothing(backend: Backend) -> None:
    credentials = backend.credentials("preview", json.loads(can_read_state(backend.target)))
    for command in PREVIEW_COMMANDS:
        backend.run(command, credentials)
    for command in ("up --skip-preview", "refresh --skip-preview", "stack rm --yes --force"):
        refused = backend.run(command, credentials, status=None)
        assert refused.status != 0
        assert "StatusCode: 403" in refused.text


def test_up_needs_every_resource_that_the_deploy_role_may_use(backend: Backend) -> None:
    document = json.loads(can_write_state(backend.target))
    resources = {name for statement in document["Statement"] for name in statement["Resource"]}
    for number, resource in enumerate(sorted(resources)):
        credentials = backend.credentials(f"less-{number}", without(document, resource))
        refused = backend.run("up --skip-preview", credentials, status=None)
        assert refused.status != 0, resource
        assert "is not authorized to perform" in refused.text or "StatusCode: 403" in refused.text


@pytest.mark.parametrize("role", ["read", "write"])
def test_a_role_reaches_only_its_own_stack(role: str, backend: Backend) -> None:
    document = {"read": can_read_state, "write": can_write_state}[role](backend.target)
    credentials = backend.credentials(f"other-{role}", json.loads(document))
    refused = backend.run("stack output --json --stack prod", credentials, status=None)
    assert refused.status != 0
    assert "StatusCode: 403" in refused.text


def test_the_state_holds_no_secret_in_the_open(backend: Backend) -> None:
    s3 = backend.endpoint.client("s3")
    names = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any(name == ".pulumi/stacks/orderflow/dev.json" for name in names)
    for name in names:
        assert b"hunter2" not in s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
