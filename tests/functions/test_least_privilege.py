"""Each function makes exactly the calls that its role allows: none in vain, none denied.

Every path that ends in a call of AWS is walked here, the good ones and the bad ones. A function that the
program declares and that is not walked here fails the test.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import boto3
import pytest

from local.program import ProgramRun, run_program
from local.recorder import Recorder
from policy.resources import FUNCTION
from tests.functions import world as worlds
from tests.functions.world import ACCOUNT, REGION, World, invoke, invoke_task
from tests.privileges import Call, Place, compare, grants_of_code, permissions_for, recording, renamed
from tests.warehouse import Warehouse, WarehouseServer

SERVICES: Final = ("cloudwatch", "dynamodb", "events", "secretsmanager", "sqs", "stepfunctions")
LONG_AGO = "2026-01-01T00:00:00.000Z"


@cache
def recorded() -> ProgramRun:
    return run_program("dev", Recorder(region=REGION, account_id=ACCOUNT))


@pytest.fixture
def calls_by_function(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, list[Call]]:
    """The calls of AWS that each function makes, whoever invokes it."""
    found: dict[str, list[Call]] = defaultdict(list)
    load = worlds.handler_of

    def observed(function: str) -> Any:
        handler = load(function)
        from functions.shared import aws

        def handle(event: Any, context: Any) -> Any:
            clients = {service: aws.client(service) for service in SERVICES}
            with recording(clients, found[function]):
                return handler(event, context)

        return handle

    monkeypatch.setattr(worlds, "handler_of", observed)
    return found


# --- The walks --------------------------------------------------------------------------------------------


def walk_records(
    world: World, kind: str, key: str, new: dict[str, object], change: dict[str, object]
) -> None:
    record = world.api.post(f"/{kind}", new).body[key]
    world.api.get(f"/{kind}")
    for found in (record, "nobody"):
        world.api.get(f"/{kind}/{found}")
        world.api.patch(f"/{kind}/{found}", change)
        world.api.delete(f"/{kind}/{found}", headers={"If-Match": '"9"'})
        world.api.delete(f"/{kind}/{found}")


def walk_users(world: World) -> None:
    walk_records(world, "users", "userId", {"name": "Ada", "email": "ada@example.com"}, {"name": "B"})


def walk_products(world: World) -> None:
    walk_records(world, "products", "productId", {"title": "Lamp", "price": 1, "stock": 1}, {"price": 2})


def walk_orders(world: World) -> None:
    product = world.product()
    headers = {"Idempotency-Key": "k"}
    order, _repeat = (world.order("u-1", {product: 1}, headers=headers) for _ in range(2))
    world.api.get("/users/u-1/orders")
    world.api.get("/users/nobody/orders")
    for path in (f"/orders/{order}", "/orders/nobody"):
        world.api.get(path)
        for _ in range(2):
            world.api.post(f"{path}/cancel")
    held = world.validated_order({product: 1})
    world.reserve(held)
    world.api.post(f"/orders/{held}/cancel")


def walk_service(world: World) -> None:
    for path in ("/", "/openapi.json", "/docs", "/nowhere"):
        with contextlib.suppress(ValueError):  # the page is HTML, and the client here wants JSON
            world.api.get(path)


def walk_consumer(world: World) -> None:
    bodies = ('{"orderId": "o-1", "attempt": 1, "correlationId": "c"}', "not an order")
    records = [
        {
            "messageId": f"m-{number}",
            "receiptHandle": "r",
            "body": body,
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "awsRegion": REGION,
        }
        for number, body in enumerate(bodies)
    ]
    invoke("order_consumer", {"Records": records})


def attempt_task(*args: Any, **payload: Any) -> None:
    """A task of the workflow, which may end in a business error."""
    with contextlib.suppress(Exception):
        invoke_task(*args, **payload)


def walk_validation(world: World) -> None:
    order = world.order(world.user(), {world.product(): 1})
    for order_id, attempt in ((order, 1), (order, 2), ("nobody", 1)):
        attempt_task("validate_order", order_id, attempt)
    attempt_task("validate_order", world.order("nobody", {"ghost": 1}))


def walk_fulfillment(world: World) -> None:
    order = world.validated_order({world.product(stock=2): 2})
    for attempt in (1, 1, 2):
        with contextlib.suppress(Exception):
            world.reserve(order, attempt)
    with contextlib.suppress(Exception):
        world.reserve(world.validated_order({world.product(stock=0): 1}))
    attempt_task("fulfill_order", "nobody", items=[{"productId": "p", "quantity": 1}])


def walk_release(world: World) -> None:
    order = world.validated_order({world.product(): 2})
    attempt_task("release_order", order)
    world.reserve(order)
    for order_id, attempt in ((order, 2), (order, 1), (order, 1), ("nobody", 1)):
        attempt_task("release_order", order_id, attempt)


def walk_status(world: World) -> None:
    order = world.validated_order({world.product(): 1})
    shipment = world.reserve(order)
    for attempt in (1, 1, 2):
        attempt_task("update_order_status", order, attempt, status="FULFILLED", shipment=shipment)
    attempt_task("update_order_status", "nobody", status="REJECTED", reason="x")


def walk_requeue(world: World) -> None:
    stalled = world.order(world.user(), {world.product(): 1})
    exhausted = world.validated_order({world.product(): 1})
    world.reserve(exhausted)
    unannounced = world.order(world.user(), {world.product(): 1})
    world.api.post(f"/orders/{unannounced}/cancel")
    world.set_order(stalled, openSince=LONG_AGO)
    world.set_order(exhausted, openSince=LONG_AGO, attempt=99)
    world.set_order(unannounced, openSince=LONG_AGO, openShard="0")
    invoke("requeue_stalled_orders", {})


WALKS: Final[Mapping[str, Callable[[World], None]]] = {
    "users_api": walk_users,
    "products_api": walk_products,
    "orders_api": walk_orders,
    "service_api": walk_service,
    "order_consumer": walk_consumer,
    "validate_order": walk_validation,
    "fulfill_order": walk_fulfillment,
    "release_order": walk_release,
    "update_order_status": walk_status,
    "requeue_stalled_orders": walk_requeue,
}


# --- The comparison ---------------------------------------------------------------------------------------


def names_in_the_stack(run: ProgramRun, function: str) -> Mapping[str, str]:
    """What this test calls a table, queue, bus, machine or secret, to what the stack calls it, from the
    environment that the program gives the function."""
    told = run.get(FUNCTION, function).inputs["environment"]["variables"]
    names = {
        os.environ[name]: value
        for name, value in told.items()
        if name in os.environ and not name.startswith("POWERTOOLS_")
    }
    machines = [name for name in names if ":stateMachine:" in name]
    executions = {
        name.replace(":stateMachine:", ":execution:"): names[name].replace(":stateMachine:", ":execution:")
        for name in machines
    }
    return names | executions


def assert_exactly_granted(run: ProgramRun, function: str, made: Sequence[Call]) -> None:
    """Fails with the list of what is granted in vain and what is not granted."""
    names = names_in_the_stack(run, function)
    calls = [
        Call(service=call.service, operation=call.operation, parameters=renamed(call.parameters, names))
        for call in made
    ]
    needed = permissions_for(calls, Place(region=REGION, account=ACCOUNT))
    difference = compare(grants_of_code(run, function), needed)
    assert not difference, str(difference)


@pytest.mark.parametrize("function", [resource.name for resource in recorded().of_type(FUNCTION)])
def test_a_function_is_granted_exactly_what_its_code_calls(
    function: str, world: World, calls_by_function: Mapping[str, list[Call]]
) -> None:
    WALKS[function](world)
    assert_exactly_granted(recorded(), function, calls_by_function[function])


def test_with_a_fulfilment_system_outside_the_signing_secret_is_granted_and_nothing_else(
    world: World, calls_by_function: Mapping[str, list[Call]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.fulfill_order import handler

    config = {
        "fulfillmentUrl": "https://fulfillment.example.com",
        "fulfillmentSecretArn": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:signing-AbCdEf",
    }
    run = run_program("dev", Recorder(region=REGION, account_id=ACCOUNT), config=config)
    secret = boto3.client("secretsmanager").create_secret(Name="signing", SecretString="secret")["ARN"]
    monkeypatch.setenv("FULFILLMENT_SECRET_ARN", secret)
    monkeypatch.setenv("FULFILLMENT_ALLOW_HTTP", "true")
    with WarehouseServer(Warehouse("secret")) as server:
        monkeypatch.setenv("FULFILLMENT_URL", server.url)
        monkeypatch.setattr(handler, "_fulfillment_system", handler._outside())
        walk_fulfillment(world)
        assert_exactly_granted(run, "fulfill_order", calls_by_function["fulfill_order"])
