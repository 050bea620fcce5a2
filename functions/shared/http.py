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
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response

from functions.shared import aws, deadline
from functions.shared.domain import errors
from functions.shared.environment import required
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.observability import logger
from functions.shared.persistence.pages import DEFAULT_LIMIT, MAX_LIMIT
from functions.shared.violations import FieldError, violations

MAX_BODY_BYTES = 64 * 1024

# What an id in a path can look like (as `Identifier` in a body): for anything else there is no record.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MalformedBody(errors.DomainError):
    """The body is not JSON."""


class BodyTooLarge(errors.DomainError):
    """The body is larger than any request that makes sense."""


class UnsupportedMediaType(errors.DomainError):
    """The body is said to be something other than JSON."""


class InvalidBody(errors.InvalidInput):
    """The body is JSON, but not what the route takes; `fields` has one entry per mistake."""

    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__(fields[0].message, fields[0].field)
        self.fields = fields


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
    InvalidBody: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.VersionRequired: HTTPStatus.PRECONDITION_REQUIRED,
}

# The errors that are no one's mistake: status, code, detail.
NO_ROUTE = (HTTPStatus.NOT_FOUND, "not_found", "there is no such route")
UNAVAILABLE = (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the service is busy: try again in a moment")
INTERNAL_ERROR = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "this is our fault; the request id helps us find it",
)

# RFC 9110 renamed two statuses; Python does so from 3.13 on.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An error as RFC 9457 describes it; `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """What a route answers: a status, a body (a struct, a text sent as it is, or None), and headers."""

    status: HTTPStatus
    body: T | None = None
    headers: dict[str, str] = {}
    content_type: str = "application/json"


Handler = Callable[..., Answer[Any]]


class Route(NamedTuple):
    """A route as it was registered; the contract (`docs/openapi.json`) is made from these."""

    method: str
    path: str
    handler: Handler
    takes: type[msgspec.Struct] | None
    raises: tuple[type[errors.DomainError], ...]


class Api:
    """The routes of one function."""

    def __init__(self) -> None:
        self.routes: list[Route] = []
        first, *others = required("CORS_ORIGINS").split(",")
        self._any_origin = first == "*"
        self._resolver = APIGatewayRestResolver(
            cors=CORSConfig(allow_origin=first, extra_origins=others, expose_headers=["ETag", "Location"])
        )
        self._resolver.not_found(self._no_route)
        self._resolver.exception_handler(Exception)(self._to_problem)

    def route(
        self,
        method: str,
        path: str,
        *,
        takes: type[msgspec.Struct] | None = None,
        raises: tuple[type[errors.DomainError], ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Register a route. Path parameters are written `<order_id>` and passed by name; `takes` is the type
        of the body, passed as `body`; `raises` names the errors that no other route has, for the contract."""

        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, path, handler, takes, raises))

            @wraps(handler)
            def run(**path_parameters: str) -> Response[str]:
                for name, value in path_parameters.items():
                    if not _ID.fullmatch(value):
                        raise errors.NotFound(f"there is no such {name.removesuffix('_id')}")
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
        deadline.start(context)
        answer = self._resolver.resolve(event, context)
        if not self._any_origin:
            # The answer to one origin is not the answer to another, whatever cache stands between.
            answer["multiValueHeaders"].setdefault("Vary", []).append("Origin")
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
            value = decode_json(raw, Any)
        except MalformedJson as error:
            raise MalformedBody("the body is not valid JSON") from error
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise InvalidBody(violations(value, kind)) from error

    def _no_route(self, _error: Exception) -> Response[str]:
        return self._problem(*NO_ROUTE)

    def _to_problem(self, error: Exception) -> Response[str]:
        if aws.is_transient(error) or isinstance(error, errors.StoreContention):
            logger.warning("a service did not answer", exc_info=error)
            return self._problem(*UNAVAILABLE)
        status = STATUS.get(type(error))
        if status is None:
            logger.exception("unexpected error", exc_info=error)
            return self._problem(*INTERNAL_ERROR)
        if isinstance(error, errors.InvalidInput) and error.field is not None:
            fields = error.fields if isinstance(error, InvalidBody) else [FieldError(error.field, str(error))]
            return self._problem(status, code(errors.InvalidInput), summary(fields), fields)
        return self._problem(status, code(type(error)), str(error))

    def _problem(
        self, status: HTTPStatus, code: str, detail: str, field_errors: list[FieldError] | None = None
    ) -> Response[str]:
        body = problem(status, code, detail, self.request_id, field_errors)
        # Seconds. Whatever was busy is rarely so for longer.
        headers = {"Retry-After": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        return _to_response(Answer(status, body, headers, "application/problem+json"))


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    request_id: str,
    field_errors: list[FieldError] | None = None,
) -> Problem:
    """The problem document of an error; `detail` is a clause, and becomes a sentence."""
    return Problem(
        type="about:blank",
        title=_TITLES.get(status, status.phrase),
        status=status.value,
        code=code,
        detail=f"{detail[:1].upper()}{detail[1:]}.",
        request_id=request_id,
        errors=field_errors,
    )


def code(error: type[Exception]) -> str:
    """An error's name as programs read it: `TooLateToCancel` is `too_late_to_cancel`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()


def summary(fields: list[FieldError]) -> str:
    """The mistakes of a request in one clause."""
    if len(fields) == 1:
        return f"invalid {fields[0].field}: {fields[0].message}"
    return f"{len(fields)} fields are invalid: {', '.join(error.field for error in fields)}"


def etag(version: int) -> str:
    """The entity tag of a record's version."""
    return f'"{version}"'


def _to_response(answer: Answer[Any]) -> Response[str]:
    if answer.body is None:
        body = ""
    elif isinstance(answer.body, str):
        body = answer.body
    else:
        body = msgspec.json.encode(answer.body).decode()
    return Response(
        status_code=answer.status.value,
        content_type=answer.content_type,
        headers=dict(answer.headers),
        body=body,
    )
