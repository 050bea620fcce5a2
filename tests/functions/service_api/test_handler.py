"""Routes without a key: health and documents."""

from __future__ import annotations

import subprocess
import sys

import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import CallRecorder
from tests.functions.service_api.conftest import CONTRACT, ROOT, Get


def test_health_returns_stack_and_version_without_a_call_to_aws(backend: MemoryBackend) -> None:
    recorder = CallRecorder()
    with backend.hooked(recorder):
        answer = backend.api.get("/")
    assert (answer.status, answer.body) == (
        200,
        {"status": "ok", "service": "orderflow", "stack": "test", "version": "0123456789ab"},
    )
    assert recorder.calls == []


def test_the_contract_is_served_unchanged(get: Get) -> None:
    answer = get("/openapi.json")
    assert (answer["statusCode"], answer["body"]) == (200, CONTRACT.read_text("utf-8"))
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert answer["isBase64Encoded"] is False


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_a_document_that_the_client_has_is_not_sent_again(get: Get, path: str) -> None:
    first = get(path)["multiValueHeaders"]
    (etag,) = first["ETag"]
    assert first["Cache-Control"] == ["public, max-age=300"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = get(path, If_None_Match=known)
        assert (again["statusCode"], again["body"], again["multiValueHeaders"]["ETag"]) == (304, "", [etag])
    assert get(path, If_None_Match='"other"')["statusCode"] == 200


def test_health_does_not_import_the_modules_of_the_page(backend: MemoryBackend) -> None:
    code = (
        "import sys, functions.service_api.handler\n"
        "heavy = {'pydantic', 'tools', 'aws_lambda_powertools.event_handler.openapi.swagger_ui', 'boto3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
