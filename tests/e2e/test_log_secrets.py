"""No log line contains a secret or personal data, even at the most verbose level."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.partners.fulfillment import Behavior, PartnerServer
from local.stack import RunningStack, running_stack
from tests.e2e.conftest import Api, run_schedule, wait_for

EMAIL = "planted-address@example.com"
NAME = "Planted Name"


@pytest.fixture(scope="module")
def verbose(server: PartnerServer) -> Iterator[RunningStack]:
    """A stack with every log level at DEBUG."""
    config = {"logLevel": "DEBUG", "systemLogLevel": "DEBUG", "fulfillmentUrl": server.url}
    with running_stack(config=config) as running:
        assert running.signing_secret is not None
        server.partner.secret = running.signing_secret
        yield running


def log_lines(stack: RunningStack) -> dict[str, list[str]]:
    """Returns the log lines of each function."""
    pages = stack.client("logs").get_paginator("filter_log_events")
    return {
        function: [
            event["message"] for page in pages.paginate(logGroupName=group) for event in page["events"]
        ]
        for function, group in stack.log_groups.items()
    }


def process_orders(api: Api, server: PartnerServer) -> list[str]:
    """Sends orders with different outcomes, and reads and changes records. Returns two order ids."""
    user = str(api.create("/users", {"name": NAME, "email": EMAIL})["userId"])
    api.request("GET", f"/users/{user}")
    api.request("GET", "/users")
    api.request("PATCH", f"/users/{user}", {"email": EMAIL.replace("planted", "planted-second")})
    product = api.create_product(stock=50)
    fulfilled = api.place_order(user, {product: 1})
    api.wait_until_final(fulfilled)
    for behavior in (Behavior.REFUSE, Behavior.LOCKED, Behavior.BUSY):
        server.partner.plan.append(behavior)
        api.wait_until_final(api.place_order(user, {product: 1}))
    rejected = api.place_order(user, {product: 100})
    api.wait_until_final(rejected)
    return [fulfilled, rejected]


def test_no_function_logs_a_secret_or_personal_data(verbose: RunningStack, server: PartnerServer) -> None:
    api = Api(verbose.api_url, verbose.api_keys["free"], verbose.api_keys["paid"])
    fulfilled, rejected = process_orders(api, server)
    run_schedule(verbose)
    lines = wait_for(
        lambda: log_lines(verbose),
        lambda lines: all(rejected in "".join(lines[name]) for name in ("validate_order", "fulfill_order")),
    )
    text = "\n".join(line for of_function in lines.values() for line in of_function)
    assert fulfilled in text
    planted = {
        "signing secret": verbose.signing_secret or "",
        "e-mail address": "planted-",
        "name": NAME,
        **{f"key of {plan}": key for plan, key in verbose.api_keys.items()},
    }
    assert [what for what, value in planted.items() if value in text] == []
    for header in ("x-amz-security-token", "authorization", "aws4-hmac-sha256", "sessiontoken", "v1="):
        assert header not in text.lower(), header
    assert "botocore" not in text


def test_a_rejection_is_logged_once_by_the_function_and_once_by_the_runtime_client(
    verbose: RunningStack,
) -> None:
    api = Api(verbose.api_url, verbose.api_keys["free"], verbose.api_keys["paid"])
    order_id = api.place_order(api.create_user(), {"ghost": 1})
    api.wait_until_final(order_id)
    lines = wait_for(
        lambda: [line for line in log_lines(verbose)["validate_order"] if "ghost" in line],
        lambda lines: len(lines) >= 2,
    )
    records = [json.loads(line) for line in lines]
    (own,) = [record for record in records if record.get("order_id") == order_id]
    (of_the_client,) = [record for record in records if record.get("errorType") == "OrderRejected"]
    assert own["outcome"] == "OrderRejected"
    assert own["TaskOutcomes"] == [1.0]
    assert len(records) == 2, (own, of_the_client)
