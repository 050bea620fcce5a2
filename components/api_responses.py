"""Responses of the API without a Lambda: preflights (CORS), and errors as problem documents (RFC 9457)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

REQUEST_HEADERS: Final = ("content-type", "idempotency-key", "if-match", "if-none-match", "x-api-key")
EXPOSED_HEADERS: Final = ("ETag", "Location", "Retry-After", "x-amzn-RequestId")
_PREFLIGHT_SECONDS: Final = 600

_ALLOW_ORIGIN: Final = "Access-Control-Allow-Origin"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An error of the gateway, in the shape of the functions' errors. Programs read `code`.

    `retry_after` is in seconds.
    """

    title: str
    code: str
    detail: str
    status: int
    retry_after: int | None = None


# By API Gateway's response type. The two defaults cover all others.
PROBLEMS: Final[Mapping[str, Problem]] = {
    # The gateway's response to an unknown route or method, which it treats as an unsigned request.
    "MISSING_AUTHENTICATION_TOKEN": Problem(
        status=404,
        title="Not Found",
        code="not_found",
        detail="There is no such route, or it does not have this method.",
    ),
    "RESOURCE_NOT_FOUND": Problem(
        status=404,
        title="Not Found",
        code="not_found",
        detail="There is no such route, or it does not have this method.",
    ),
    "INVALID_API_KEY": Problem(
        status=403,
        title="Forbidden",
        code="invalid_api_key",
        detail="The header x-api-key must hold a valid API key.",
    ),
    "ACCESS_DENIED": Problem(
        status=403, title="Forbidden", code="access_denied", detail="This request is not allowed."
    ),
    "WAF_FILTERED": Problem(
        status=403, title="Forbidden", code="access_denied", detail="This request is not allowed."
    ),
    "REQUEST_TOO_LARGE": Problem(
        status=413,
        title="Content Too Large",
        code="body_too_large",
        detail="The body of the request is too large.",
    ),
    "THROTTLED": Problem(
        status=429,
        title="Too Many Requests",
        code="throttled",
        detail="Too many requests at once: try again in a moment.",
        retry_after=1,
    ),
    "QUOTA_EXCEEDED": Problem(
        status=429,
        title="Too Many Requests",
        code="quota_exceeded",
        detail="The API key has used up its requests of the day.",
        # The quota starts again at midnight UTC, at most a day away. The gateway cannot compute the rest.
        retry_after=3600,
    ),
    "INTEGRATION_FAILURE": Problem(
        status=502,
        title="Bad Gateway",
        code="unavailable",
        detail="The service could not be reached: try again in a moment.",
    ),
    "INTEGRATION_TIMEOUT": Problem(
        status=504,
        title="Gateway Timeout",
        code="timeout",
        detail="The service took too long: try again in a moment.",
    ),
    # The gateway cannot write an error's own status into its body. So each family has one status.
    "DEFAULT_4XX": Problem(
        status=400, title="Bad Request", code="bad_request", detail="The request cannot be answered as it is."
    ),
    "DEFAULT_5XX": Problem(
        status=500,
        title="Internal Server Error",
        code="internal_error",
        detail="The request failed on our side.",
    ),
}


def problem_template(problem: Problem) -> str:
    """Returns the body of a gateway's error. API Gateway fills in the request's id."""
    document = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "requestId": "$context.requestId",
    }
    return json.dumps(document)


def problem_headers(problem: Problem, origins: Sequence[str]) -> dict[str, str]:
    """Returns the headers of a gateway's error.

    With several origins, pages of every origin may read it. The gateway has no conditions, so it cannot
    return the origin of the request, and the error contains no secret.
    """
    origin = origins[0] if len(origins) == 1 else "*"
    headers = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        "Access-Control-Expose-Headers": ",".join(EXPOSED_HEADERS),
        _ALLOW_ORIGIN: origin,
        **({} if problem.retry_after is None else {"Retry-After": str(problem.retry_after)}),
    }
    return {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()}


def preflight_headers(origins: Sequence[str], methods: Iterable[str]) -> dict[str, str]:
    """Returns the headers of a preflight's response, as parameter mappings of an integration response."""
    headers = {
        _ALLOW_ORIGIN: origins[0],
        "Access-Control-Allow-Methods": ",".join(sorted({*methods, "OPTIONS"})),
        "Access-Control-Allow-Headers": ",".join(REQUEST_HEADERS),
        "Access-Control-Expose-Headers": ",".join(EXPOSED_HEADERS),
        "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
    }
    if origins[0] != "*":
        headers["Vary"] = "Origin"
    return {f"method.response.header.{name}": f"'{value}'" for name, value in headers.items()}


def preflight_template(origins: Sequence[str]) -> str:
    """Returns the body of a preflight's response: empty. With several origins it sets the requested one.

    API Gateway compares header names with their case, and HTTP/2 sends them in lower case. The embedded AWS
    does not run templates and always returns the first origin.
    """
    if len(origins) == 1:
        return ""
    matches = " || ".join(f'$origin == "{origin}"' for origin in origins)
    return (
        '#set($origin = $input.params().header.get("Origin"))\n'
        '#if(!$origin || $origin == "")#set($origin = $input.params().header.get("origin"))#end\n'
        f"#if({matches})#set($context.responseOverride.header.{_ALLOW_ORIGIN} = $origin)#end\n"
    )
