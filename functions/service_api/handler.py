"""The routes that need no key: they read nothing and tell nothing that is not public."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from functions.shared.environment import required
from functions.shared.http import Answer, Api
from functions.shared.observability import logger


class Health(msgspec.Struct, frozen=True):
    """What answers, in which stack, and which code it runs (the first digits of its hash)."""

    status: str
    service: str
    stack: str
    version: str


api = Api()
_health = Health("ok", "orderflow", required("STACK_NAME"), required("SERVICE_VERSION"))


@logger.inject_lambda_context(clear_state=True, correlation_id_path="requestContext.requestId")
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request."""
    return api.handle(event, context)


@api.route("GET", "/")
def health() -> Answer[Health]:
    """Whether the service answers, which stack it is, and which code it runs."""
    return Answer(HTTPStatus.OK, _health)
