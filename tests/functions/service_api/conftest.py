"""GET requests as API Gateway sends them to `service_api`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.memory.backend import MemoryBackend
from local.memory.functions import LambdaContext, handler_of

ROOT = Path(__file__).parents[3]
CONTRACT = ROOT / "docs" / "openapi.json"
Get = Callable[..., dict[str, Any]]


@pytest.fixture
def get(backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> Get:
    """Sends a GET. Returns the answer that Lambda passes to API Gateway."""
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
