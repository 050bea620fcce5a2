"""HTTP: routes, bodies, responses, and errors as RFC 9457 problem documents.

The handler of a route gets a decoded, validated body and returns an `Answer`. Every exception that it raises
becomes a problem document here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from functions.shared import aws, clock, deadline
from functions.shared.domain import errors
from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.quotes import Quote
from functions.shared.environment import required
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.observability import logger
from functions.shared.persistence.pages import DEFAULT_LIMIT, MAX_LIMIT
from functions.shared.persistence.requests import KeptAnswer, KeptRequest, RequestRepository
from functions.shared.violations import MAX_PATH, FieldError, strip_texts, violations, words

MAX_BODY_BYTES = 64 * 1024

MAX_TAGS = 50
PAGE = ("limit", "nextToken")
PROBLEM = "application/problem+json"
EXPOSED_HEADERS = ("ETag", "Location", "Retry-After", "x-amzn-RequestId")
# An entity tag: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'

# Escaped characters in JSON: a pair of surrogates, an unpaired one (group 1), or another character.
_ESCAPED = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.S
)

# A parameter in the path of a route: `<order_id>`.
_PARAMETER = re.compile(r"<(\w+)>")

# The format of an id in a path, as `Identifier` in a body. No record has another id.
_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")


class MalformedBody(errors.DomainError):
    """The body is not JSON."""


class MalformedIfMatch(errors.DomainError):
    """`If-Match` is not a list of entity tags."""


class MalformedIfNoneMatch(errors.DomainError):
    """`If-None-Match` of a PUT is not `*`."""


class BodyTooLarge(errors.DomainError):
    """The body is larger than allowed."""


class UnsupportedMediaType(errors.DomainError):
    """The Content-Type of the body is not JSON."""


class InvalidBody(errors.InvalidInput):
    """The body is JSON, but not of the type of the route. `fields` has one entry per mistake."""

    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__(fields[0].message, fields[0].field)
        self.fields = fields


# The status of each error. Every other exception is a 500 without its text.
STATUS: dict[type[Exception], HTTPStatus] = {
    MalformedBody: HTTPStatus.BAD_REQUEST,
    MalformedIfMatch: HTTPStatus.BAD_REQUEST,
    MalformedIfNoneMatch: HTTPStatus.BAD_REQUEST,
    errors.InvalidPageToken: HTTPStatus.BAD_REQUEST,
    errors.InvalidSignature: HTTPStatus.UNAUTHORIZED,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.TooLateToCancel: HTTPStatus.CONFLICT,
    errors.EmailTaken: HTTPStatus.CONFLICT,
    errors.NotHandedOver: HTTPStatus.CONFLICT,
    errors.ReportRefused: HTTPStatus.CONFLICT,
    errors.BasketEmpty: HTTPStatus.CONFLICT,
    errors.NotOrderable: HTTPStatus.CONFLICT,
    errors.InsufficientStock: HTTPStatus.CONFLICT,
    errors.PriceChanged: HTTPStatus.CONFLICT,
    errors.VersionMismatch: HTTPStatus.PRECONDITION_FAILED,
    errors.AlreadyExists: HTTPStatus.PRECONDITION_FAILED,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidBody: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.VersionRequired: HTTPStatus.PRECONDITION_REQUIRED,
}

# Errors without a domain exception: status, code, detail.
NO_ROUTE = (HTTPStatus.NOT_FOUND, "not_found", "there is no such route")
UNAVAILABLE = (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the service is busy: try again in a moment")
INTERNAL_ERROR = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal_error",
    "internal error: contact support with this request id",
)

# RFC 9110 renamed two statuses; Python does so from 3.13 on.
_TITLES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

T = TypeVar("T")
Body = TypeVar("Body", bound=msgspec.Struct)


class Problem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An error as RFC 9457 describes it. Programs read `code`, people read `detail`.

    `quote` is present if a basket cannot be ordered: its lines today.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] | None = None
    quote: Quote | None = None


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """The response of a route: a status, a body (a struct, a text sent as it is, or None), and headers.

    One that is not final is not kept for a repeat with the same `Idempotency-Key`.
    """

    status: HTTPStatus
    body: T | None = None
    headers: dict[str, str] = {}
    content_type: str = "application/json"
    is_final: bool = True


Handler = Callable[..., Answer[Any]]


class Route(NamedTuple):
    """A registered route. The contract (`docs/openapi.json`) is made from these."""

    method: str
    path: str
    handler: Handler
    takes: type[msgspec.Struct] | None
    raises: tuple[type[errors.DomainError], ...]
    query: tuple[str, ...]
    revalidates: bool
    idempotent: bool


class Api:
    """The routes of one function. `requests` keeps the answers of its idempotent routes."""

    def __init__(self, requests: RequestRepository | None = None) -> None:
        self.routes: list[Route] = []
        self._requests = requests
        # Method -> the path of each of its routes, and what answers it.
        self._routes: dict[str, list[tuple[re.Pattern[str], Callable[..., KeptAnswer]]]] = {}
        self._origins = frozenset(required("CORS_ORIGINS").split(","))
        # Of the present request: the event, its headers by their names in lower case, method and path.
        self._event: dict[str, Any] = {}
        self._headers: dict[str, list[str]] = {}
        self._method = self._path = ""
        # The entry of the present request, if it has an Idempotency-Key and its route is idempotent.
        self.kept_request: KeptRequest | None = None

    def route(
        self,
        method: str,
        path: str,
        *,
        takes: type[msgspec.Struct] | None = None,
        raises: tuple[type[errors.DomainError], ...] = (),
        query: tuple[str, ...] = (),
        revalidates: bool = True,
        idempotent: bool = False,
        authorize: Callable[[], None] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Registers a route. Path parameters are written `<order_id>` and passed by name.

        `takes` is the type of the body, which is passed as `body`. `raises` are the errors that no other
        route has, for the contract. `query` are the names of the query parameters; others are refused. A GET
        with `revalidates=False` never returns 304: its response changes while its `ETag` stays. `authorize`
        runs before the body is decoded.

        An `idempotent` route takes an `Idempotency-Key`: a repeat gets the first answer. The handler may run
        again for the same key when its answer was lost. It creates records under `new_id`, and marks other
        effects in their own transaction (`RequestRepository.marking`), unless they are harmless to repeat.
        """

        def register(handler: Handler) -> Handler:
            self.routes.append(Route(method, path, handler, takes, raises, query, revalidates, idempotent))
            if takes is not None:
                # msgspec reads the annotations of a type once. The first request need not wait for that.
                msgspec.json.Decoder(takes)

            def run(**path_parameters: str) -> KeptAnswer:
                for name, value in path_parameters.items():
                    if not _ID.fullmatch(value):
                        raise errors.NotFound(f"there is no such {name.removesuffix('_id')}")
                if "order_id" in path_parameters:
                    logger.append_keys(order_id=path_parameters["order_id"])
                self._check_query(query)
                if authorize is not None:
                    authorize()
                arguments: dict[str, Any] = dict(path_parameters)
                if takes is not None:
                    arguments["body"] = self._decode_body(takes)
                key = self.idempotency_key() if idempotent else None
                if key is not None:
                    return self._answer_once(key, arguments.get("body"), lambda: handler(**arguments))
                answer = handler(**arguments)
                return _to_response(self._unless_known(answer) if method == "GET" and revalidates else answer)

            pattern = re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path))
            self._routes.setdefault(method, []).append((pattern, run))
            return handler

        return register

    def handle(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answers one request of API Gateway. Writes one log line."""
        deadline.start(context)
        logger.set_correlation_id(event["requestContext"]["requestId"])
        self.kept_request = None
        self._event = event
        self._headers = _headers_of(event)
        # HEAD is answered as GET. The gateway omits the body and keeps its length (RFC 9110, section 9.3.2).
        self._method = "GET" if event["httpMethod"] == "HEAD" else event["httpMethod"]
        self._path = _path_of(event)
        try:
            answer = self._run_route()
        except Exception as error:  # noqa: BLE001
            answer = self._to_problem(error)
        logger.info(
            "request", method=event["httpMethod"], resource=event.get("resource"), status=answer.status
        )
        headers = {**answer.headers, **self._cors_headers()}
        return {
            "statusCode": answer.status,
            "body": answer.body,
            "isBase64Encoded": False,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
        }

    # --- the request, for routes --------------------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """Returns a header of the request by its name in any case, or None. Several lines are one list."""
        lines = self._headers.get(name)
        return None if lines is None else ", ".join(lines)

    @property
    def request_id(self) -> str:
        """Returns API Gateway's id of the request, which is the correlation id of all that follows."""
        return str(self._event["requestContext"]["requestId"])

    @property
    def client(self) -> str:
        """Returns the id of the client's API key; empty for a route without one."""
        return str((self._event["requestContext"].get("identity") or {}).get("apiKeyId") or "")

    def idempotency_key(self) -> str | None:
        """Returns the `Idempotency-Key`, or None. Raises `InvalidInput`."""
        key = self.header("idempotency-key")
        if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
            raise errors.InvalidInput(
                "expected 1 to 255 printable ASCII characters without spaces", "Idempotency-Key"
            )
        return key

    def new_id(self) -> str:
        """Returns an id for a new record: for the same Idempotency-Key the same."""
        return str(uuid.uuid4()) if self.kept_request is None else self.kept_request.operation_id

    @property
    def location(self) -> str:
        """Returns the path of the request as the client sent it, with the stage."""
        return str(self._event["requestContext"]["path"]).rstrip("/")

    def page(self) -> tuple[int, str | None]:
        """Returns the `limit` and `nextToken` of a request for a list. Raises `InvalidInput`."""
        parameters = self._event.get("queryStringParameters") or {}
        limit = parameters.get("limit", str(DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
            raise errors.InvalidInput(f"expected a whole number from 1 to {MAX_LIMIT}", "limit")
        return int(limit), parameters.get("nextToken")

    def parameter(self, name: str, kind: Any) -> Any:
        """Returns a query parameter as `kind`, or None. Raises `InvalidInput`."""
        text = (self._event.get("queryStringParameters") or {}).get(name)
        if text is None:
            return None
        try:
            return msgspec.convert(text.strip(), kind, strict=False)
        except msgspec.ValidationError as error:
            raise errors.InvalidInput(f"expected {words(kind)}", name) from error

    def if_match(self) -> set[int] | None:
        """Returns the versions in `If-Match` (RFC 9110, section 13.1.1).

        None means no header or `*`. An empty set means that none of its tags can be a version of this API:
        tags are compared character by character. Raises `MalformedIfMatch`.
        """
        header = self.header("if-match")
        if header is None or header.strip() == "*":
            return None
        tags = _tags(header)
        if tags is None or len(tags) > MAX_TAGS:
            raise MalformedIfMatch(
                f'expected If-Match: "3", the ETag of a response, or a list of at most {MAX_TAGS}'
            )
        versions = (re.fullmatch(r'"(0|[1-9][0-9]{0,14})"', tag) for tag in tags)
        return {int(version[1]) for version in versions if version}

    def precondition(self) -> Precondition:
        """Returns the condition of a PUT. Raises `MalformedIfMatch` and `MalformedIfNoneMatch`."""
        none_match = self.header("if-none-match")
        if none_match is not None and none_match.strip() != "*":
            raise MalformedIfNoneMatch("expected If-None-Match: *, which only creates")
        return Precondition(
            versions=self.if_match(),
            must_exist=self.header("if-match") is not None,
            must_be_new=none_match is not None,
        )

    # --- repeated requests --------------------------------------------------------------------------------

    def _answer_once(
        self, key: str, body: msgspec.Struct | None, run: Callable[[], Answer[Any]]
    ) -> KeptAnswer:
        """Returns the answer to the first request with this key, or else that of `run`, and keeps it.

        An answer that may be another one later is not kept: an error of this service, for example.
        """
        if self._requests is None:
            raise TypeError("an idempotent route needs Api(requests=...)")
        body_hash = hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
        request = self._requests.begin(self._scope_of(key), body_hash, at=clock.now())
        if request.answer is not None:
            return request.answer
        self.kept_request = request
        try:
            answer = run()
            response, is_final = _to_response(answer), answer.is_final
        except Exception as error:  # noqa: BLE001
            response = self._to_problem(error)
            is_final = response.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if not is_final:
            return response
        try:
            return self._requests.keep(request, response)
        except (ClientError, BotoCoreError) as error:
            # The request took effect. A repeat runs again and finds that.
            logger.warning("answer not kept", exc_info=error)
            return response

    def _scope_of(self, key: str) -> str:
        """Returns the name of a request with this key: another client, user or route has another one."""
        context = self._event["requestContext"]
        user = ((context.get("authorizer") or {}).get("claims") or {}).get("sub") or ""
        scope = [self.client, user, self._method, self._path, key]
        return hashlib.sha256(msgspec.json.encode(scope)).hexdigest()

    @property
    def route_called(self) -> str:
        """Returns the method and path of the request, without the stage: `PUT /orders/o-1/shipments/S-1`."""
        return f"{self._method} {self._path}"

    # --- one request --------------------------------------------------------------------------------------

    def _run_route(self) -> KeptAnswer:
        path = self._path.rstrip("/") or "/"
        for pattern, run in self._routes.get(self._method, ()):
            if match := pattern.fullmatch(path):
                return run(**match.groupdict())
        return _to_response(Answer(NO_ROUTE[0], self._problem(*NO_ROUTE), content_type=PROBLEM))

    def _cors_headers(self) -> dict[str, str]:
        # A cache must not serve the response for one origin, or for none, to another.
        headers = {"Vary": "Origin"}
        origin = self.header("origin")
        allowed = origin if origin in self._origins else "*"
        if origin is not None and allowed in self._origins:
            headers["Access-Control-Allow-Origin"] = allowed
            headers["Access-Control-Expose-Headers"] = ",".join(EXPOSED_HEADERS)
        return headers

    def _check_query(self, allowed: tuple[str, ...]) -> None:
        given = self._event.get("multiValueQueryStringParameters") or {}
        expected = " or ".join(filter(None, [", ".join(allowed[:-1]), *allowed[-1:]])) or "no query parameter"
        for name, values in given.items():
            if name not in allowed:
                raise errors.InvalidInput(f"unknown: expected {expected}", name[:MAX_PATH])
            if len(values) > 1:
                raise errors.InvalidInput("given more than once: expected one value", name)

    def _unless_known(self, answer: Answer[Any]) -> Answer[Any]:
        """Returns 304 without a body if the client has this ETag (RFC 9110, section 13.1.2)."""
        etag, known = answer.headers.get("ETag"), self.header("if-none-match")
        if etag is None or known is None:
            return answer
        tags = [tag.removeprefix("W/") for tag in _tags(known) or ()]
        if etag not in tags and known.strip() != "*":
            return answer
        return Answer(HTTPStatus.NOT_MODIFIED, None, answer.headers, answer.content_type)

    def _decode_body(self, kind: type[msgspec.Struct]) -> msgspec.Struct:
        # As in API Gateway, a request without a Content-Type is JSON.
        media_type = (self.header("content-type") or "application/json").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType(f"expected a body of type application/json, not {media_type}")
        raw = self.raw_body
        if len(raw) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"expected a body of at most {MAX_BODY_BYTES} bytes")
        try:
            return convert_body(decode_json(raw, Any), kind)
        except MalformedJson as error:
            malformed = MalformedBody("the body is not valid JSON")
            malformed.__cause__ = error
        # An unpaired surrogate is no character. No text may have a NUL in its place, so its field is named.
        with suppress(MalformedJson):
            convert_body(decode_json(_ESCAPED.sub(_to_nul, raw), Any), kind)
        raise malformed

    @property
    def raw_body(self) -> bytes:
        """Returns the bytes of the body. Raises `MalformedBody`."""
        text = self._event.get("body") or ""
        # What the gateway puts in the place of bytes that are not UTF-8.
        if "\ufffd" in text:
            raise MalformedBody("the body is not UTF-8")
        raw = text.encode("utf-8", "surrogatepass")
        if self._event.get("isBase64Encoded"):
            try:
                raw = base64.b64decode(raw, validate=True)
            except binascii.Error as error:
                raise MalformedBody("the body is not valid base64") from error
        return raw

    def _to_problem(self, error: Exception) -> KeptAnswer:
        body = self.problem_of(error)
        # Seconds. Contention and throttling rarely last longer.
        headers = {"Retry-After": "1"} if body.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return _to_response(Answer(HTTPStatus(body.status), body, headers, PROBLEM))

    def problem_of(self, error: Exception) -> Problem:
        """Returns the problem document of an error. Logs an error that is not the client's."""
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
        quote = error.quote if isinstance(error, errors.QuotedError) else None
        return self._problem(status, code(type(error)), str(error), quote=quote)

    def _problem(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        field_errors: list[FieldError] | None = None,
        *,
        quote: Quote | None = None,
    ) -> Problem:
        return problem(status, code, detail, self.request_id, field_errors, quote=quote)


def _to_nul(escaped: re.Match[bytes]) -> bytes:
    return rb"\u0000" if escaped[1] else escaped[0]


def convert_body(value: Any, kind: type[Body]) -> Body:
    """Returns a decoded body as `kind`, with trimmed texts. Raises `InvalidBody`."""
    if isinstance(value, dict):
        strip_texts(value, kind)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(violations(value, kind)) from error


def problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    request_id: str,
    field_errors: list[FieldError] | None = None,
    *,
    quote: Quote | None = None,
) -> Problem:
    """Returns the problem document of an error. `detail` is a clause, and becomes a sentence."""
    return Problem(
        type="about:blank",
        title=_TITLES.get(status, status.phrase),
        status=status.value,
        code=code,
        detail=f"{detail[:1].upper()}{detail[1:]}.",
        request_id=request_id,
        errors=field_errors,
        quote=quote,
    )


def code(error: type[Exception]) -> str:
    """Returns an error's name for programs: `TooLateToCancel` is `too_late_to_cancel`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", error.__name__).lower()


def summary(fields: list[FieldError]) -> str:
    """Returns the mistakes of a request in one clause."""
    if len(fields) == 1:
        return f"invalid {fields[0].field}: {fields[0].message}"
    return f"{len(fields)} fields are invalid: {', '.join(error.field for error in fields)}"


def _path_of(event: dict[str, Any]) -> str:
    """Returns the path of the route. The event's own path has the base path of a custom domain."""
    path: str = event.get("resource") or event["path"]
    for name, value in (event.get("pathParameters") or {}).items():
        path = path.replace(f"{{{name}}}", value)
    return path


def _headers_of(event: dict[str, Any]) -> dict[str, list[str]]:
    """Returns the lines of each header, by its name in lower case."""
    lines: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        lines.setdefault(name.lower(), []).extend(values)
    for name, value in (event.get("headers") or {}).items():
        lines.setdefault(name.lower(), [value])
    return lines


def _tags(header: str) -> list[str] | None:
    """Returns the entity tags of a list (RFC 9110, section 8.8.3), or None if it is none."""
    if not re.fullmatch(rf"\s*{_TAG}(?:\s*,\s*{_TAG})*\s*", header):
        return None
    return re.findall(_TAG, header)


def etag(version: int) -> str:
    """Returns the entity tag of a record's version."""
    return f'"{version}"'


def etag_of(body: msgspec.Struct) -> str:
    """Returns the entity tag of a body without a version: a hash of it."""
    return f'"{hashlib.sha256(msgspec.json.encode(body)).hexdigest()[:16]}"'


def _to_response(answer: Answer[Any]) -> KeptAnswer:
    if answer.body is None:
        body = ""
    elif isinstance(answer.body, str):
        body = answer.body
    else:
        body = msgspec.json.encode(answer.body).decode()
    # Records are personal data. Public documents have their own Cache-Control.
    headers = {"Cache-Control": "no-store", **answer.headers}
    # Without a type, the gateway declares JSON. A 304 has the type of the document that it stands for.
    if body or answer.status is HTTPStatus.NOT_MODIFIED:
        headers["Content-Type"] = answer.content_type
    return KeptAnswer(answer.status.value, headers, body)
