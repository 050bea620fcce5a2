"""Errors and preflights that API Gateway answers without a function."""

import json

import pytest

from components.api_responses import (
    PROBLEMS,
    preflight_headers,
    preflight_template,
    problem_headers,
    problem_template,
)

TWO = ("https://shop.example.com", "https://office.example.com")


@pytest.mark.parametrize("response_type", PROBLEMS)
def test_an_error_is_a_problem_document_with_the_request_id_and_without_internals(response_type: str) -> None:
    template = problem_template(PROBLEMS[response_type])
    document = json.loads(template)
    assert document["requestId"] == "$context.requestId"
    assert {"type", "title", "code", "detail"} <= set(document)
    assert "$context.error" not in template


@pytest.mark.parametrize(
    ("response_type", "status"),
    [
        ("MISSING_AUTHENTICATION_TOKEN", 404),
        ("INVALID_API_KEY", 403),
        ("THROTTLED", 429),
        ("QUOTA_EXCEEDED", 429),
        ("REQUEST_TOO_LARGE", 413),
        ("DEFAULT_4XX", 400),
        ("DEFAULT_5XX", 500),
    ],
)
def test_an_error_names_its_status(response_type: str, status: int) -> None:
    assert json.loads(problem_template(PROBLEMS[response_type]))["status"] == status


def test_an_error_allows_the_one_origin_or_all() -> None:
    header = "gatewayresponse.header.Access-Control-Allow-Origin"
    problem = PROBLEMS["INVALID_API_KEY"]
    assert problem_headers(problem, ["*"])[header] == "'*'"
    assert problem_headers(problem, TWO[:1])[header] == "'https://shop.example.com'"
    assert problem_headers(problem, TWO)[header] == "'*'"


def test_every_429_says_when_to_try_again() -> None:
    header = "gatewayresponse.header.Retry-After"
    waits = {name: problem_headers(problem, ["*"]).get(header) for name, problem in PROBLEMS.items()}
    assert waits["THROTTLED"] == "'1'"
    assert waits["QUOTA_EXCEEDED"] == "'3600'"
    assert {name for name, problem in PROBLEMS.items() if problem.status == 429} == {
        name for name, wait in waits.items() if wait
    }


def test_a_preflight_names_origin_methods_and_headers() -> None:
    assert preflight_headers(["*"], ["POST", "GET"]) == {
        "method.response.header.Access-Control-Allow-Origin": "'*'",
        "method.response.header.Access-Control-Allow-Methods": "'GET,OPTIONS,POST'",
        "method.response.header.Access-Control-Allow-Headers": (
            "'content-type,idempotency-key,if-match,if-none-match,x-api-key'"
        ),
        "method.response.header.Access-Control-Expose-Headers": (
            "'ETag,Location,Retry-After,x-amzn-RequestId'"
        ),
        "method.response.header.Access-Control-Max-Age": "'600'",
    }


def test_with_several_origins_the_template_returns_the_origin_of_the_request() -> None:
    assert preflight_template(["*"]) == ""
    template = preflight_template(TWO)
    assert '$origin == "https://shop.example.com" || $origin == "https://office.example.com"' in template
    assert "$context.responseOverride.header.Access-Control-Allow-Origin = $origin" in template
    assert preflight_headers(TWO, ["GET"])["method.response.header.Vary"] == "'Origin'"
