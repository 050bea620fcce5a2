"""HTTP at the edge: routes, bodies, answers, and errors as RFC 9457 problem documents.

A handler of a route gets a decoded, validated body and returns an `Answer`; whatever it raises becomes a
problem document here, in one place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response

from functions.shared import aws
from functions.shared.domain import errors
from functions.shared.environment import required
from functions.shared.observability import logger
from functions.shared.persistence.pages import DEFAULT_LIMIT, MAX_LIMIT

MAX_BODY_BYTES = 64 * 1024


class MalformedBody(errors.DomainError):
    """The body is not JSON."""


class BodyTooLarge(errors.DomainError):
    """The body is larger than any request that makes sense."""


class UnsupportedMediaType(errors.DomainError):
    """The body is said to be something other than JSON."""


# The one table from error to status. What is not in it is a 500, and its text stays inside.
STATUS: dict[type[Exception], HTTPStatus] = {
    MalformedBody: HTTPStatus.BAD_REQUEST,
    errors.InvalidPageToken: HTTPStatus.BAD_REQUEST,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.TooLateToCancel: HTTPStatus.CONFLICT,
    errors.VersionMismatch: HTTPStatus.PRECONDITION_FAILED,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.VersionRequired: HTTPStatus.PRECONDITION_REQUIRED,
    errors.StoreContention: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DependencyUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request that is wrong: its path in the JSON, and what was expected."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An error as RFC 9457 describes it; `code` is for programs, `detail` for people."""

    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = None
    type: str = "about:blank"


class Answer(msgspec.Struct, frozen=True):
    """What a route answers: a status, a body (a struct or plain data; None for no body), and headers."""

    status: HTTPStatus
    body: Any = None
    headers: dict[str, str] = {}
    content_type: str = "application/json"


Route = Callable[..., Answer]


class Api:
    """The routes of one function."""

    def __init__(self) -> None:
        first, *others = required("CORS_ORIGINS").split(",")
        self._resolver = APIGatewayRestResolver(
            cors=CORSConfig(allow_origin=first, extra_origins=others, expose_headers=["ETag", "Location"])
        )
        self._resolver.not_found(self._no_route)
        self._resolver.exception_handler(Exception)(self._to_problem)

    def route(
        self, method: str, path: str, takes: type[msgspec.Struct] | None = None
    ) -> Callable[[Route], Route]:
        """Register a route. Path parameters are written `<order_id>` and passed by name; `takes` is the type
        of the body, passed as `body`."""

        def register(handler: Route) -> Route:
            @wraps(handler)
            def run(**path_parameters: str) -> Response[str]:
                if "order_id" in path_parameters:
                    logger.append_keys(order_id=path_parameters["order_id"])
                if takes is not None:
                    return _to_response(handler(body=self._decode_body(takes), **path_parameters))
                return _to_response(handler(**path_parameters))

            self._resolver.route(path, method)(run)
            return handler

        return register

    def handle(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one request of API Gateway. Writes one log line."""
        answer = self._resolver.resolve(event, context)
        logger.info(
            "request", method=event["httpMethod"], resource=event.get("resource"), status=answer["statusCode"]
        )
        return answer

    # --- what a route may ask of the request --------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """A header of the request, whatever the case of its name."""
        headers = self._resolver.current_event.headers or {}
        value = headers.get(name)
        return value if value is None else str(value)

    @property
    def request_id(self) -> str:
        """The id that API Gateway gave the request; it is the correlation id of all that follows from it."""
        return str(self._resolver.current_event.request_context.request_id)

    @property
    def location(self) -> str:
        """The path of the request as the client sent it, stage included."""
        return str(self._resolver.current_event.request_context.path).rstrip("/")

    def page(self) -> tuple[int, str | None]:
        """The `limit` and `nextToken` of a request for a list. Raises `InvalidInput`."""
        parameters = self._resolver.current_event.query_string_parameters or {}
        limit = parameters.get("limit", str(DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
            raise errors.InvalidInput(f"expected a whole number from 1 to {MAX_LIMIT}", "limit")
        return int(limit), parameters.get("nextToken")

    def if_match(self) -> set[int] | None:
        """The versions that `If-Match` names (RFC 9110, section 13.1.1): None for no header and for `*`, an
        empty set when none of its tags can be one of ours."""
        header = self.header("if-match")
        if header is None or header.strip() == "*":
            return None
        tags = (re.fullmatch(r'"([0-9]{1,15})"', tag.strip()) for tag in header.split(",")[:50])
        return {int(tag[1]) for tag in tags if tag}

    # --- how it is done -----------------------------------------------------------------------------------

    def _decode_body(self, kind: type[msgspec.Struct]) -> msgspec.Struct:
        # API Gateway takes a request without a Content-Type for JSON, and so do we.
        media_type = (self.header("content-type") or "application/json").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType(f"expected a body of type application/json, not {media_type}")
        event = self._resolver.current_event
        raw = (event.body or "").encode("utf-8", "surrogatepass")
        if event.is_base64_encoded:
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error as error:
                raise MalformedBody("the body is not valid base64") from error
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"expected a body of at most {MAX_BODY_BYTES} bytes")
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.ValidationError as error:
            raise _invalid(error) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MalformedBody("the body is not valid JSON") from error

    def _no_route(self, _error: Exception) -> Response[str]:
        return self._problem(HTTPStatus.NOT_FOUND, "not_found", "there is no such route")

    def _to_problem(self, error: Exception) -> Response[str]:
        if aws.is_passing(error):
            logger.warning("a service did not answer", exc_info=error)
            return self._problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "try again in a moment; nothing is half done"
            )
        status = STATUS.get(type(error))
        if status is None:
            logger.exception("unexpected error", exc_info=error)
            return self._problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "internal_error",
                "this is our fault; the request id helps us find it",
            )
        field = error.field if isinstance(error, errors.InvalidInput) else None
        return self._problem(
            status, _code(error), str(error), [FieldError(field, str(error))] if field is not None else None
        )

    def _problem(
        self, status: HTTPStatus, code: str, detail: str, field_errors: list[FieldError] | None = None
    ) -> Response[str]:
        problem = Problem(
            title=status.phrase,
            status=status.value,
            code=code,
            detail=detail,
            request_id=self.request_id,
            errors=field_errors,
        )
        return _to_response(Answer(status, problem, content_type="application/problem+json"))


def etag(version: int) -> str:
    """The entity tag of a record's version."""
    return f'"{version}"'


def _to_response(answer: Answer) -> Response[str]:
    body = "" if answer.body is None else msgspec.json.encode(answer.body).decode()
    return Response(
        status_code=answer.status.value,
        content_type=answer.content_type,
        headers=dict(answer.headers),
        body=body,
    )


def _code(error: Exception) -> str:
    """A domain error's name as programs read it: `TooLateToCancel` is `too_late_to_cancel`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _invalid(error: msgspec.ValidationError) -> errors.InvalidInput:
    """msgspec's message, taken apart: "Expected `int` >= 1 - at `$.items[0].quantity`"."""
    text, _, path = str(error).partition(" - at ")
    path = path.strip("`").removeprefix("$").removeprefix(".")
    named = re.search(r"(?:unknown|required) field `([^`]*)`", text)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    return errors.InvalidInput(text[:1].lower() + text[1:], path or "body")
