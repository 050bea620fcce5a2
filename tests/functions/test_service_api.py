"""The routes that need no key: health, the contract, and the page that renders it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.memory.functions import LambdaContext, World, handler_of
from tests.functions.dynamodb_hooks import recorded_calls

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "docs" / "openapi.json"

Get = Callable[..., dict[str, Any]]


@pytest.fixture
def get(world: World, monkeypatch: pytest.MonkeyPatch) -> Get:
    """Sends a GET, and gives the answer as Lambda hands it to API Gateway."""
    handler = handler_of("service_api")
    from functions.service_api import documents

    # Packaging puts the contract beside the code.
    monkeypatch.setattr(documents, "CONTRACT", CONTRACT)
    documents.contract.cache_clear()

    def send(path: str, **headers: str) -> dict[str, Any]:
        event = {
            "httpMethod": "GET",
            "path": path,
            "headers": {name.replace("_", "-"): value for name, value in headers.items()},
            "requestContext": {"requestId": "request-1"},
        }
        answer: dict[str, Any] = handler(event, LambdaContext())
        return answer

    return send


def test_health_tells_the_stack_and_the_version_and_reads_nothing(world: World) -> None:
    with recorded_calls() as calls:
        answer = world.api.get("/")
    assert (answer.status, answer.body) == (
        200,
        {"status": "ok", "service": "orderflow", "stack": "test", "version": "0123456789ab"},
    )
    assert calls == []


def test_the_contract_is_served_as_it_is_kept(get: Get) -> None:
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


def test_the_page_needs_no_other_host_and_lets_only_its_own_scripts_run(get: Get) -> None:
    answer = get("/docs")
    page, (policy,) = answer["body"], answer["multiValueHeaders"]["Content-Security-Policy"]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 2
    for script in (*scripts, *re.findall(r"<style>(.*?)</style>", page, re.DOTALL)):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)", page)


def test_the_page_fits_into_an_answer_of_lambda(get: Get) -> None:
    # Lambda takes 6 MB as JSON. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    assert len(json.dumps(get("/docs"))) < 5_000_000


def test_health_does_not_pay_for_the_page(world: World) -> None:
    code = (
        "import sys, functions.service_api.handler\n"
        "heavy = {'pydantic', 'tools', 'aws_lambda_powertools.event_handler.openapi.swagger_ui', 'boto3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
