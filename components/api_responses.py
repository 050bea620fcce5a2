"""What the API answers without a Lambda: preflights (CORS), and errors as problem documents (RFC 9457)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

REQUEST_HEADERS: Final = ("content-type", "idempotency-key", "if-match", "x-api-key")
EXPOSED_HEADERS: Final = ("ETag", "Location")
_PREFLIGHT_SECONDS: Final = 600

_ALLOW_ORIGIN: Final = "Access-Control-Allow-Origin"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An error that the gateway answers, in the shape of the functions' errors (`code` is for programs).

    Without a status, each error of the family keeps its own.
    """

    title: str
    code: str
    detail: str
    status: int | None = None


# By API Gateway's response type. What is not listed falls under one of the two defaults.
PROBLEMS: Final[Mapping[str, Problem]] = {
    # The gateway's name for "no such route or method": it takes what it cannot place for an unsigned request.
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
    ),
    "QUOTA_EXCEEDED": Problem(
        status=429,
        title="Too Many Requests",
        code="quota_exceeded",
        detail="The API key has used up its requests of the day.",
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
    "DEFAULT_4XX": Problem(
        title="Bad Request", code="bad_request", detail="The request cannot be answered as it is."
    ),
    "DEFAULT_5XX": Problem(
        title="Internal Server Error", code="internal_error", detail="The request failed on our side."
    ),
}


def problem_template(problem: Problem) -> str:
    """The body of a gateway's error; API Gateway puts the request's id in."""
    document: dict[str, str | int | None] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "requestId": "$context.requestId",
    }
    return json.dumps({name: value for name, value in document.items() if value is not None})


def problem_headers(origins: Sequence[str]) -> dict[str, str]:
    """The headers of a gateway's error.

    With several origins every page may read it: a gateway's error cannot tell one origin from another (it has
    no conditions), and says nothing that is anybody's secret.
    """
    origin = origins[0] if len(origins) == 1 else "*"
    return {
        "gatewayresponse.header.Content-Type": "'application/problem+json'",
        f"gatewayresponse.header.{_ALLOW_ORIGIN}": f"'{origin}'",
    }


def preflight_headers(origins: Sequence[str], methods: Iterable[str]) -> dict[str, str]:
    """The headers of a preflight's answer, as parameter mappings of an integration response."""
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
    """The body of a preflight's answer: empty, and with several origins it names the one that asked.

    API Gateway compares header names letter by letter, and HTTP/2 sends them in lower case. The embedded AWS
    does not run templates and always names the first origin.
    """
    if len(origins) == 1:
        return ""
    matches = " || ".join(f'$origin == "{origin}"' for origin in origins)
    return (
        '#set($origin = $input.params().header.get("Origin"))\n'
        '#if(!$origin || $origin == "")#set($origin = $input.params().header.get("origin"))#end\n'
        f"#if({matches})#set($context.responseOverride.header.{_ALLOW_ORIGIN} = $origin)#end\n"
    )
