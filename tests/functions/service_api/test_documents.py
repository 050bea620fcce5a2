"""The contract, and the page that renders it."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from tests.functions.service_api.conftest import Get


def test_the_page_uses_no_other_host_and_allows_only_its_own_scripts(get: Get) -> None:
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
