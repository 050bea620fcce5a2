"""The API over real HTTP: gateway and functions together."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from local.engine.program import PROJECT_ROOT
from local.stack import RunningStack
from tests.e2e.conftest import Api

ORIGIN = {"Origin": "https://shop.example.com"}
OPEN = {"/", "/openapi.json", "/docs"}
# Only a stack with a fulfillment system has these: test_fulfillment_system.py.
REPORTS = re.compile(r"/orders/\{orderId\}/(shipments|refusals|returns)/")


@pytest.fixture(scope="module")
def contract(api: Api) -> dict[str, Any]:
    """The contract that the API serves."""
    document: dict[str, Any] = api.request("GET", "/openapi.json", key="").json()
    return document


def routes(contract: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields method and path of every route of this stack, with ids of no record."""
    for path, methods in contract["paths"].items():
        if REPORTS.match(path):
            continue
        filled = re.sub(r"\{\w+\}", "none", path)
        for method in methods:
            yield method.upper(), filled


def check_problem(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["requestId"]
    assert problem["detail"].endswith(".")
    assert answer.headers["access-control-allow-origin"] == "*"


def test_every_route_except_the_open_ones_requires_a_key(api: Api, contract: dict[str, Any]) -> None:
    for method, path in routes(contract):
        if path in OPEN:
            assert api.request(method, path, key="").status_code == 200
        else:
            for key in ("", "wrong"):
                check_problem(api.request(method, path, key=key, headers=ORIGIN), 403, "invalid_api_key")


def test_head_has_the_headers_of_get_and_no_body(api: Api) -> None:
    for path, key in (("/", ""), ("/docs", ""), ("/users", api.paid_key)):
        head, get = api.request("HEAD", path, key=key), api.request("GET", path, key=key)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length", "etag", "cache-control"):
            assert head.headers.get(name) == get.headers.get(name), name


def test_a_problem_has_the_request_id_of_the_header(api: Api) -> None:
    for path, key in (("/users/none", api.paid_key), ("/users", ""), ("/nowhere", "")):
        answer = api.request("GET", path, key=key)
        assert answer.headers["x-amzn-requestid"] == answer.json()["requestId"]


def test_an_unknown_route_or_method_is_a_404(api: Api) -> None:
    for method, path in (
        ("GET", "/nowhere"),
        ("PUT", "/users"),
        ("DELETE", "/orders/o-1"),
        ("POST", "/docs"),
    ):
        check_problem(api.request(method, path, headers=ORIGIN), 404, "not_found")


def test_every_route_answers_a_preflight_without_a_key(api: Api, contract: dict[str, Any]) -> None:
    for method, path in routes(contract):
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-api-key"}
        # A separate connection: the emulator sends a body with a 204, which would corrupt the next answer.
        answer = api.request("OPTIONS", path, key="", headers=ORIGIN | asked | {"Connection": "close"})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert method in answer.headers["access-control-allow-methods"].split(",")
        allowed = set(answer.headers["access-control-allow-headers"].lower().split(","))
        assert {"x-api-key", "idempotency-key", "if-match", "content-type"} <= allowed


def test_a_page_of_another_origin_can_read_answers_and_headers(api: Api) -> None:
    answer = api.request("POST", "/users", {"name": "Ada", "email": f"{uuid.uuid4()}@b"}, headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-expose-headers"] == "ETag,Location,Retry-After,x-amzn-RequestId"
    read = requests.get(
        requests.compat.urljoin(api.url, answer.headers["location"]),
        headers={"x-api-key": api.paid_key},
        timeout=30,
    )
    assert (read.json(), read.headers["etag"]) == (answer.json(), answer.headers["etag"])


@pytest.fixture
def free_key(stack: RunningStack) -> Iterator[str]:
    """A new key of the free plan."""
    gateway = stack.client("apigateway")
    key = gateway.create_api_key(name=f"free-{uuid.uuid4()}", enabled=True)
    gateway.create_usage_plan_key(
        usagePlanId=stack.outputs["usagePlanIds"]["free"], keyId=key["id"], keyType="API_KEY"
    )
    yield key["value"]
    gateway.delete_api_key(apiKey=key["id"])


def test_the_sixth_request_of_the_day_on_the_free_plan_is_a_429(api: Api, free_key: str) -> None:
    for _ in range(5):
        assert api.request("GET", "/users?limit=1", key=free_key).status_code == 200
        time.sleep(0.25)  # under the plan's 5 a second, so that only the quota can refuse
    refused = api.request("GET", "/users?limit=1", key=free_key, headers=ORIGIN)
    check_problem(refused, 429, "quota_exceeded")


def test_more_requests_at_once_than_the_plans_burst_are_429s(api: Api, free_key: str) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda _: api.request("GET", "/users", key=free_key, headers=ORIGIN), range(10))
        )
    throttled = [answer for answer in answers if answer.json().get("code") == "throttled"]
    assert throttled
    for answer in throttled:
        check_problem(answer, 429, "throttled")


def test_repeats_in_parallel_over_http_make_one_order(api: Api, stack: RunningStack) -> None:
    user, product = api.create_user(), api.create_product()
    body = {"userId": user, "items": [{"productId": product, "quantity": 1}]}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.request("POST", "/orders", body, headers=headers), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["orderId"] for answer in answers}) == 1
    assert len(api.request("GET", f"/users/{user}/orders").json()["items"]) == 1
    assert api.wait_until_final(answers[0].json()["orderId"])["status"] == "FULFILLED"
    assert api.stock(product) == 9


def test_changes_of_different_fields_in_parallel_are_all_stored(api: Api) -> None:
    product = api.create_product()
    changes: list[dict[str, object]] = [
        {"title": "New"},
        {"price": 7},
        {"description": "x"},
        {"currency": "USD"},
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda change: api.request("PATCH", f"/products/{product}", change), changes))
    assert {answer.status_code for answer in answers} == {200}
    stored = api.request("GET", f"/products/{product}")
    wanted = {name: value for change in changes for name, value in change.items()}
    assert wanted.items() <= stored.json().items()
    assert stored.headers["etag"] == '"5"'


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_body"),
        (b"\xff", "application/json", 400, "malformed_body"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"x" * 70_000, "application/json", 413, "body_too_large"),
        (b"[]", "application/json", 422, "invalid_input"),
    ],
)
def test_each_kind_of_invalid_body_has_its_own_status(
    api: Api, body: bytes, content_type: str, status: int, code: str
) -> None:
    headers = {"x-api-key": api.paid_key, "content-type": content_type} | ORIGIN
    answer = requests.post(f"{api.url}/users", data=body, headers=headers, timeout=30)
    check_problem(answer, status, code)


def test_bytes_that_are_not_utf_8_are_a_400(api: Api) -> None:
    headers = {"x-api-key": api.paid_key, "content-type": "application/json"} | ORIGIN
    body = b'{"name": "\xff", "email": "a@b"}'
    check_problem(
        requests.post(f"{api.url}/users", data=body, headers=headers, timeout=30), 400, "malformed_body"
    )


def test_a_line_break_after_the_id_of_a_record_is_a_404(api: Api) -> None:
    check_problem(api.request("GET", f"/users/{api.create_user()}%0A", headers=ORIGIN), 404, "not_found")


def test_a_304_of_the_page_has_its_type(api: Api) -> None:
    etag = api.request("GET", "/docs", key="").headers["etag"]
    answer = api.request("GET", "/docs", key="", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.headers["content-type"]) == (304, "text/html; charset=utf-8")


def test_a_throttled_function_and_a_failed_one_are_problems_of_the_gateway(
    api: Api, stack: RunningStack
) -> None:
    client, name = stack.client("lambda"), stack.functions["users_api"]
    reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        check_problem(api.request("GET", "/users", headers=ORIGIN), 502, "unavailable")
    finally:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved or 1)
    handler = client.get_function_configuration(FunctionName=name)["Handler"]
    client.update_function_configuration(FunctionName=name, Handler="functions.users_api.nothing.here")
    try:
        failed = api.request("GET", "/users", headers=ORIGIN)
    finally:
        client.update_function_configuration(FunctionName=name, Handler=handler)
    check_problem(failed, 500, "internal_error")
    assert "Traceback" not in failed.text
    assert str(PROJECT_ROOT) not in failed.text
    assert api.request("GET", "/users").status_code == 200


def test_requests_wait_while_all_workers_of_their_function_are_busy(api: Api, stack: RunningStack) -> None:
    client, name = stack.client("lambda"), stack.functions["users_api"]
    reserved = client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    try:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: api.request("GET", "/users").status_code, range(20)))
    finally:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    assert set(answers) == {200}


@pytest.mark.parametrize("record_id", ["a%20b", "%C3%A4", "x" * 3000, "a%2Fb", "..%2F..", "%00"])
def test_an_id_that_no_record_can_have_is_a_404(api: Api, record_id: str) -> None:
    answer = api.request("GET", f"/users/{record_id}", headers=ORIGIN)
    check_problem(answer, 404, "not_found")


def test_the_pages_of_a_list_show_each_record_once(api: Api) -> None:
    made = {api.create_user() for _ in range(5)}
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = api.request("GET", "/users", params=query).json()
        seen += [user["userId"] for user in page["items"]]
        if "nextToken" not in page:
            break
        query["nextToken"] = page["nextToken"]
    assert made <= set(seen)
    assert len(seen) == len(set(seen))


def test_health_returns_the_deployed_version_and_documents_are_cached(api: Api) -> None:
    health = api.request("GET", "/", key="").json()
    assert health == health | {"status": "ok", "service": "orderflow", "stack": "local"}
    assert len(health["version"]) == 12
    for path in ("/openapi.json", "/docs"):
        etag = api.request("GET", path, key="").headers["etag"]
        again = api.request("GET", path, key="", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")


def test_no_header_and_no_body_exposes_internals(api: Api) -> None:
    for answer in (api.request("GET", "/orders/none"), api.request("GET", "/users?nextToken=x")):
        shown = json.dumps([dict(answer.headers), answer.text])
        assert not [word for word in ("arn:", "local-", "Traceback", "Error:", "dynamodb") if word in shown]


def test_one_idempotency_key_of_two_clients_makes_two_records_and_repeated_one(api: Api) -> None:
    product = {"title": "Lamp", "price": 100, "stock": 5}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    with ThreadPoolExecutor(8) as pool:
        repeats = list(
            pool.map(lambda _: api.request("POST", "/products", product, headers=headers), "x" * 8)
        )
    assert {answer.status_code for answer in repeats} == {201}
    assert len({answer.text for answer in repeats}) == 1
    other = api.request("POST", "/products", product, key=api.free_key, headers=headers)
    assert other.status_code == 201
    assert other.json()["productId"] != repeats[0].json()["productId"]
    changed = api.request("POST", "/products", product | {"price": 101}, headers=headers | ORIGIN)
    check_problem(changed, 422, "idempotency_key_reused")
