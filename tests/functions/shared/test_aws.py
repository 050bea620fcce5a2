"""The project's loader of botocore's models returns the same as botocore's loader."""

from __future__ import annotations

import gzip
from pathlib import Path

import botocore
import pytest
from botocore.loaders import JSONFileLoader, Loader

from functions.shared import aws

SERVICES = ("dynamodb", "sqs", "stepfunctions", "events", "cloudwatch", "secretsmanager")


@pytest.mark.parametrize("name", ["endpoints", "partitions", "_retry", "sdk-default-configuration"])
def test_a_file_has_the_same_content(name: str) -> None:
    path = str(Path(botocore.__file__).parent / "data" / name)

    assert aws._ModelFiles().load_file(path) == JSONFileLoader().load_file(path)


def test_a_compressed_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text('{"a": [1]}', "utf-8")
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(b'{"a": [1]}'))
    files = aws._ModelFiles()

    assert files.load_file(str(tmp_path / "plain")) == {"a": [1]}
    assert files.load_file(str(tmp_path / "packed")) == {"a": [1]}
    assert files.load_file(str(tmp_path / "missing")) is None


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_the_model_of_a_service_equals_that_of_botocore(service: str, kind: str) -> None:
    models = aws._Models()
    models.wanted.append(service)

    assert models.load_service_model(service, kind) == Loader().load_service_model(service, kind)


def test_a_client_is_made_once_per_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    assert aws.client("sqs") is aws.client("sqs")
