"""A workspace whose state is in S3 and whose secrets are under a KMS key, both of the embedded AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.aws.emulator import SECRET_ACCESS_KEY, Endpoint, start_emulator
from tests.engine.workspace import REGION, Workspace

BUCKET = "acme-state"


@dataclass(frozen=True)
class Backend:
    """The workspace, the account that its state is in, and the key of the state's secrets."""

    workspace: Workspace
    endpoint: Endpoint
    key_arn: str


@contextmanager
def s3_backend(folder: Path) -> Iterator[Backend]:
    """Makes a bucket, a key and a workspace, in which the variables of docs/deploying.md are set."""
    with start_emulator(region=REGION) as emulator:
        endpoint = emulator.endpoint
        endpoint.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        key = endpoint.client("kms").create_key()["KeyMetadata"]["Arn"]
        workspace = Workspace.make(folder)
        for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
            del workspace.environment[name]
        workspace.environment |= {
            "AWS_ENDPOINT_URL_KMS": endpoint.url,
            "AWS_ENDPOINT_URL_S3": endpoint.url,
            "AWS_ACCESS_KEY_ID": endpoint.access_key_id,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": REGION,
            "NO_PROXY": "*",
            "SECRETS_KEY_ARN": key,
            "STATE_BUCKET": BUCKET,
        }
        yield Backend(workspace, endpoint, key)
