"""The routes that need no key: they read no data, and return public information only."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from functions.service_api import documents
from functions.shared.environment import required
from functions.shared.http import Answer, Api
from functions.shared.observability import logger


class Health(msgspec.Struct, frozen=True):
    """The service's name, its stack, and the version of its code (the first digits of its hash)."""

    status: str
    service: str
    stack: str
    version: str


api = Api()
_health = Health("ok", "orderflow", required("STACK_NAME"), required("SERVICE_VERSION"))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


@api.route("GET", "/")
def health() -> Answer[Health]:
    """Get the health of the service, its stack, and the version of its code."""
    return Answer(HTTPStatus.OK, _health)


@api.route("GET", "/openapi.json")
def openapi() -> Answer[str]:
    """Get this document."""
    return _answer(documents.contract())


@api.route("GET", "/docs")
def docs() -> Answer[str]:
    """Get this document as a page, which can send requests with a key."""
    return _answer(documents.page())


def _answer(document: documents.Document) -> Answer[str]:
    return Answer(HTTPStatus.OK, document.text, document.headers, document.content_type)
