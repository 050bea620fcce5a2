"""HTTP requests and answers: bodies, ids, errors without internals, and CORS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from local.memory.backend import MemoryBackend
from local.memory.faults import Failing, refusal
from local.memory.functions import HttpAnswer, LambdaContext, invoke
from tests.functions.records import RECORDS


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_body"),
        ("", "application/json", 400, "malformed_body"),
        ("\ud800", "application/json", 400, "malformed_body"),
        ("[]", "application/json", 422, "invalid_input"),
        ("name=Ada", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (json.dumps({"name": "x" * 70_000, "email": "a@b"}), "application/json", 413, "body_too_large"),
        (json.dumps(RECORDS["users"]), "application/json; charset=utf-8", 201, None),
    ],
)
def test_each_kind_of_invalid_body_has_its_own_status(
    backend: MemoryBackend, body: str, content_type: str, status: int, code: str | None
) -> None:
    answer = backend.api.post("/users", body, headers={"Content-Type": content_type})
    assert (answer.status, answer.body.get("code")) == (status, code)


@pytest.mark.parametrize("body", ["[" * 30_000, '{"name":' * 8_000, "1e400", "NaN", '{"\\ud800": ', "\0"])
def test_a_body_that_is_not_json_is_a_400(backend: MemoryBackend, body: str) -> None:
    answer = backend.api.post("/users", body)
    assert (answer.status, answer.body["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(
    "name", [r"\ud800", r"a\uDBFFb", r"\udc00", r"\ude00\ud83d", r"\ud800\ud800", r"\\\ud800"]
)
def test_an_unpaired_surrogate_is_an_invalid_field(backend: MemoryBackend, name: str) -> None:
    answer = backend.api.post("/users", f'{{"email": "ada@example.com", "name": "{name}"}}')
    assert (answer.status, answer.body["code"]) == (422, "invalid_input")
    assert answer.body["errors"] == [
        {"field": "name", "message": "expected a text on one line of 1 to 200 characters"}
    ]


def test_an_unpaired_surrogate_where_no_field_can_be_named_is_a_400(backend: MemoryBackend) -> None:
    answer = backend.api.post("/products/batch", r'{"items": [{"title": "\ud800"}]}')
    assert (answer.status, answer.body["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(("name", "stored"), [(r"\ud83d\ude00", "\U0001f600"), (r"\\ud800", r"\ud800")])
def test_escaped_characters_are_decoded(backend: MemoryBackend, name: str, stored: str) -> None:
    answer = backend.api.post("/users", f'{{"email": "ada@example.com", "name": "{name}"}}')
    assert (answer.status, answer.body["name"]) == (201, stored)


def test_a_body_may_have_at_most_64_kb(backend: MemoryBackend) -> None:
    body = json.dumps({"name": "Ada", "email": "ada@example.com"})
    assert backend.api.post("/users", body.ljust(64 * 1024)).status == 201
    assert backend.api.post("/users", body.ljust(64 * 1024 + 1)).status == 413


@pytest.mark.parametrize("record_id", ["a b", "x" * 65, "ä", ".", "..", "...", "%00", "x" * 3000])
@pytest.mark.parametrize("path", ["/users/{}", "/products/{}", "/orders/{}", "/users/{}/orders"])
def test_an_id_that_no_record_can_have_is_a_404(backend: MemoryBackend, path: str, record_id: str) -> None:
    answer = backend.api.get(path.format(record_id))
    assert (answer.status, answer.body["code"]) == (404, "not_found")


def test_an_unknown_route_is_a_404(backend: MemoryBackend) -> None:
    assert backend.api.request("PUT", "/users", {}).status == 404


def test_an_unexpected_error_is_a_500_with_only_the_request_id(backend: MemoryBackend) -> None:
    with backend.hooked(Failing(refusal("ResourceNotFoundException"))):
        answer = backend.api.get("/users/u-1")
    assert answer.status == 500
    assert answer.body == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal_error",
        "detail": "Internal error: contact support with this request id.",
        "requestId": "request-1",
    }


# No answer may contain these. The injected errors do.
SECRET = "arn:aws:dynamodb:eu-central-1:123456789012:table/users-prod-1a2b3c is locked by admin@10.0.0.7"
NEVER = (
    "arn:",
    "users-prod",
    "10.0.0.7",
    "Traceback",
    "botocore",
    "Exception",
    "Error:",
    "dynamodb",
    "line ",
)
REQUESTS: dict[str, Callable[[MemoryBackend], HttpAnswer]] = {
    "a read": lambda backend: backend.api.get("/users/u-1"),
    "a list": lambda backend: backend.api.get("/products"),
    "a list by user": lambda backend: backend.api.get("/users/u-1/orders"),
    "a creation": lambda backend: backend.api.post("/users", {"name": "Ada", "email": "ada@example.com"}),
    "a change": lambda backend: backend.api.patch("/products/p-1", {"title": "x"}),
    "a deletion": lambda backend: backend.api.delete("/users/u-1"),
    "an order": lambda backend: backend.api.post(
        "/orders", {"userId": "u-1", "items": [{"productId": "p-1", "quantity": 1}]}
    ),
    "a cancel": lambda backend: backend.api.post("/orders/o-1/cancel"),
}
each_request = pytest.mark.parametrize("send", REQUESTS.values(), ids=REQUESTS)


def check_no_internals(answer: HttpAnswer) -> None:
    shown = json.dumps([answer.headers, answer.body])
    assert not [word for word in NEVER if word in shown]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["requestId"] == "request-1"


@each_request
@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException", "UnknownCode"]
)
def test_a_permanent_error_of_aws_is_a_500_without_internals(
    backend: MemoryBackend, send: Callable[[MemoryBackend], HttpAnswer], code: str
) -> None:
    with backend.hooked(Failing(refusal(code, SECRET))):
        answer = send(backend)
    assert (answer.status, answer.body["code"]) == (500, "internal_error")
    check_no_internals(answer)


@each_request
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("InternalServerError", 500),
    ],
)
def test_a_transient_error_of_aws_is_a_503_with_retry_after(
    backend: MemoryBackend, send: Callable[[MemoryBackend], HttpAnswer], code: str, status: int
) -> None:
    with backend.hooked(Failing(refusal(code, SECRET, status))):
        answer = send(backend)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    check_no_internals(answer)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url=SECRET), 503),
        (botocore.exceptions.ReadTimeoutError(endpoint_url=SECRET), 503),
        (botocore.exceptions.ConnectionClosedError(endpoint_url=SECRET), 503),
        (botocore.exceptions.NoCredentialsError(), 503),
        (KeyError(SECRET), 500),
        (RecursionError(SECRET), 500),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, SECRET), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_is_answered_without_internals(
    backend: MemoryBackend, error: Exception, status: int
) -> None:
    for send in REQUESTS.values():
        with backend.hooked(Failing(error)):
            answer = send(backend)
        assert answer.status == status
        check_no_internals(answer)


def test_an_unexpected_error_is_logged_with_its_exception(
    backend: MemoryBackend, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    with backend.hooked(Failing(refusal("AccessDeniedException", SECRET))):
        backend.api.get("/users/u-1")
    unexpected = next(line for line in log_lines() if line["message"] == "unexpected error")
    assert SECRET in unexpected["exception"]
    assert unexpected["correlation_id"] == "request-1"


@pytest.fixture
def answer_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], dict[str, list[str]]]:
    """Returns a function that sends a request from an origin. Two origins are allowed."""
    from functions.shared.http import Api

    monkeypatch.setenv("CORS_ORIGINS", "https://a.example.com,https://b.example.com")
    api = Api()

    def send(origin: str | None) -> dict[str, list[str]]:
        event = {
            "httpMethod": "GET",
            "path": "/nowhere",
            "headers": {"Origin": origin} if origin else {},
            "requestContext": {"requestId": "request-1"},
        }
        headers: dict[str, list[str]] = api.handle(event, LambdaContext())["multiValueHeaders"]
        return headers

    return send


@pytest.mark.parametrize("origin", ["https://a.example.com", "https://b.example.com"])
def test_an_error_can_be_read_by_a_page_of_each_allowed_origin(
    backend: MemoryBackend, answer_to: Callable[[str | None], dict[str, list[str]]], origin: str
) -> None:
    headers = answer_to(origin)
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == ([origin], ["Origin"])


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://a.example.com.evil.com", "null", None]
)
def test_an_error_cannot_be_read_by_a_page_of_another_origin(
    backend: MemoryBackend, answer_to: Callable[[str | None], dict[str, list[str]]], origin: str | None
) -> None:
    headers = answer_to(origin)
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == ["Origin"]


def test_answers_carry_cors_headers_for_a_page_of_another_origin(backend: MemoryBackend) -> None:
    answer = backend.api.get("/users", headers={"Origin": "https://shop.example.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "ETag,Location,Retry-After,x-amzn-RequestId"


@pytest.mark.parametrize("path", ["/users", "/users/u-1", "/orders/o-1", "/users/u-1/orders", "/", "/docs"])
def test_an_unknown_query_parameter_is_a_422_that_names_it(backend: MemoryBackend, path: str) -> None:
    answer = backend.api.get(path, query={"emial": "ada@example.com"})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "emial")


def test_a_query_parameter_given_twice_is_a_422(backend: MemoryBackend) -> None:
    event = request_event("GET", "/users") | {
        "queryStringParameters": {"limit": "2"},
        "multiValueQueryStringParameters": {"limit": ["1", "2"]},
    }
    answer = invoke("users_api", event)
    assert answer["statusCode"] == 422
    assert json.loads(answer["body"])["errors"][0]["field"] == "limit"


def test_a_route_is_found_under_the_base_path_of_a_domain(backend: MemoryBackend) -> None:
    user = backend.create_user()
    event = request_event("GET", "/users/{userId}") | {
        "path": f"/shop/users/{user}",
        "pathParameters": {"userId": user},
    }
    answer = invoke("users_api", event)
    assert (answer["statusCode"], json.loads(answer["body"])["userId"]) == (200, user)


def test_if_match_in_two_header_lines_is_one_list(backend: MemoryBackend) -> None:
    user = backend.create_user()
    event = request_event("DELETE", "/users/{userId}") | {
        "pathParameters": {"userId": user},
        "headers": {"If-Match": '"7"'},
        "multiValueHeaders": {"If-Match": ['"1"', '"7"']},
    }
    assert invoke("users_api", event)["statusCode"] == 204


def test_no_cache_keeps_a_record_or_serves_it_to_another_origin(backend: MemoryBackend) -> None:
    for path in ("/users", f"/users/{backend.create_user()}", "/users/unknown"):
        headers = backend.api.get(path).headers
        assert (headers["cache-control"], headers["vary"]) == ("no-store", "Origin")


@pytest.mark.parametrize("path", ["/", "/docs", "/users", "/users/unknown"])
def test_head_has_the_status_and_the_headers_of_get(backend: MemoryBackend, path: str) -> None:
    head, get = backend.api.request("HEAD", path), backend.api.get(path)
    assert (head.status, head.headers) == (get.status, get.headers)


def test_head_returns_304_as_get_does(backend: MemoryBackend) -> None:
    path = f"/users/{backend.create_user()}"
    assert backend.api.request("HEAD", path, headers={"If-None-Match": '"1"'}).status == 304


@pytest.mark.parametrize("slashes", ["", "/"])
def test_a_trailing_slash_means_nothing(backend: MemoryBackend, slashes: str) -> None:
    user = backend.create_user()
    for path in ("/users", f"/users/{user}", f"/users/{user}/orders"):
        assert backend.api.get(path + slashes).status == 200
    answer = backend.api.post("/users" + slashes, {"name": "Ada", "email": "ada@example.com"})
    assert answer.headers["location"] == f"/v1/users/{answer.body['userId']}"


def test_a_line_break_after_the_id_of_a_record_is_a_404(backend: MemoryBackend) -> None:
    user = backend.create_user()
    assert backend.api.get(f"/users/{user}\n").status == 404
    event = request_event("GET", "/users/{userId}") | {"pathParameters": {"userId": f"{user}\n"}}
    assert invoke("users_api", event)["statusCode"] == 404


def test_a_304_has_the_type_of_its_document(backend: MemoryBackend) -> None:
    etag = backend.api.get("/docs").headers["etag"]
    answer = backend.api.get("/docs", headers={"If-None-Match": etag})
    assert (answer.status, answer.headers["content-type"]) == (304, "text/html; charset=utf-8")


def test_bytes_that_the_gateway_replaced_because_they_are_not_utf_8_are_a_400(backend: MemoryBackend) -> None:
    answer = backend.api.post("/users", '{"name": "\ufffd", "email": "a@b"}')
    assert (answer.status, answer.body["detail"]) == (400, "The body is not UTF-8.")


def request_event(method: str, resource: str) -> dict[str, Any]:
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "body": None,
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": "r",
            "stage": "v1",
            "path": f"/v1{resource}",
            "resourcePath": resource,
        },
    }
