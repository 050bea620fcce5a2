"""Each function uses all of its grants, and makes no call without a grant.

The grants of every configuration are compared with the calls of two sources:

- The crash tests run under the program's grants (`local/memory/iam.py`). A call without a grant fails them.
- A tour on the embedded AWS covers the API, every outcome of an order, and the requeue. It records each call
  as botocore sends it.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bootstrap.permissions import Target, bound_roles
from functions.shared.signatures import sign
from local.aws.iam import with_emulator_actions
from local.aws.wire import Request, Response, intercept_calls
from local.engine.program import PROJECT_ROOT
from local.engine.stacks import declare_test_stack
from local.memory.cloud import Hook
from local.memory.iam import FULFILLMENT_SYSTEM, Grants, grants
from local.memory.permissions import (
    AwsCall,
    Permission,
    Place,
    compare,
    grants_by_variable,
    permissions_for,
    with_variable_names,
)
from local.memory.scenarios import SCENARIOS, play
from local.partners.fulfillment import Behavior, FulfillmentPartner, PartnerServer
from local.partners.shipping import ShippingPlan
from local.stack import SIGNING_SECRET, RunningStack, running_stack
from policy.resources import FUNCTION
from tests.e2e.conftest import Api, run_schedule, store_stalled_order, wait_for

# These functions read the type of the workflow. Their calls and grants depend on it.
DEPENDENT_ON_TYPE = {
    function.name
    for function in declare_test_stack().of_type(FUNCTION)
    if "WORKFLOW_TYPE" in function.inputs["environment"]["variables"]
}
Permissions = Mapping[str, set[Permission]]
"""Permissions of each function."""


# --- The tour ---------------------------------------------------------------------------------------------


def tour_records(api: Api, kind: str, new: object, change: object) -> None:
    """Calls every route of users or products, with an existing and an unknown id."""
    created = api.request("POST", f"/{kind}", new, headers={"Idempotency-Key": kind}).json()
    api.request("GET", f"/{kind}")
    for found in (created[f"{kind.removesuffix('s')}Id"], "unknown"):
        api.request("GET", f"/{kind}/{found}")
        api.request("PUT", f"/{kind}/{found}", new, headers={"If-Match": '"9"'})
        api.request("PATCH", f"/{kind}/{found}", change)
        api.request("DELETE", f"/{kind}/{found}", headers={"If-Match": '"9"'})
        api.request("DELETE", f"/{kind}/{found}")


def tour_emails(api: Api) -> None:
    """Moves a user to another e-mail address, and finds the user by it."""
    user = api.create_user()
    assert api.request("PATCH", f"/users/{user}", {"email": "moved@example.com"}).status_code == 200
    found = api.request("GET", "/users?email=moved@example.com").json()["items"]
    assert [one["userId"] for one in found] == [user]


def tour_catalog(api: Api) -> None:
    """Creates a product under its own id, changes its stock, and lists the products of its category."""
    lamp = {"title": "Lamp", "price": 1, "stock": 1, "category": "Lamps"}
    assert api.request("PUT", "/products/SKU-4.2", lamp).status_code == 201
    assert api.request("POST", "/products/SKU-4.2/stock", {"change": 2}).json()["stock"] == 3
    for _ in range(2):
        taken = api.request(
            "POST", "/products/SKU-4.2/stock", {"change": -1}, headers={"Idempotency-Key": "loss"}
        )
        assert taken.json()["stock"] == 2
    assert api.request("GET", "/products?category=Lamps").json()["items"]


def tour_orders(api: Api, partner: FulfillmentPartner, billing_url: str) -> None:
    """Places an order for every outcome of the workflow, and calls every route of orders and bills."""
    user, product = api.create_user(), api.create_product(stock=5)
    sent = {"userId": user, "items": [{"productId": product, "quantity": 1}], "reference": "PO-1"}
    assert api.request("POST", "/quotes", {"items": sent["items"]}).json()["total"] > 0
    placed = [
        api.request("POST", "/orders", sent, headers={"Idempotency-Key": "k"}).json()["orderId"]
        for _ in range(2)
    ]
    assert placed[0] == placed[1]
    assert api.wait_until_final(placed[0])["status"] == "FULFILLED"
    assert api.wait_until_final(api.place_order(user, {"ghost": 1}))["status"] == "REJECTED"
    assert api.wait_until_final(api.place_order(user, {product: 99}))["status"] == "REJECTED"
    partner.plan.append(Behavior.REFUSE)
    assert api.wait_until_final(api.place_order(user, {product: 1}))["status"] == "FAILED"
    assert api.request("GET", f"/users/{user}/orders").json()["items"]
    for query in ("?limit=5", "?status=FAILED", "?reference=PO-1"):
        assert api.request("GET", f"/orders{query}").json()["items"]
    assert api.request("GET", "/orders?status=PENDING").status_code == 200
    bill = replace(api, url=billing_url).request("GET", f"/billing/{user}")
    assert bill.json()["orders"] == 1
    for order in (placed[0], "unknown"):
        api.request("GET", f"/orders/{order}")
        api.request("POST", f"/orders/{order}/cancel", headers={"Idempotency-Key": "cancel"})


def tour_reports(api: Api, secret: str) -> None:
    """Reports a parcel's delivery and a return, as the fulfillment system does."""
    user, product = api.create_user(), api.create_product(stock=5)
    order = f"/orders/{api.place_order(user, {product: 2})}"
    (parcel,) = api.wait_until_final(order.removeprefix("/orders/"))["shipments"]

    def put(path: str, body: dict[str, Any]) -> int:
        encoded, timestamp = json.dumps(body), str(int(time.time()))
        signature = sign(secret.encode(), timestamp, encoded.encode(), route=f"PUT {path}")
        headers = {
            "X-Orderflow-Timestamp": timestamp,
            "X-Orderflow-Signature": signature,
            "Content-Type": "application/json",
        }
        return api.request("PUT", path, headers=headers, data=encoded.encode()).status_code

    report = {"lines": [{"productId": product, "quantity": 2}], "shippedAt": "2026-01-31T08:00:00Z"}
    path = f"{order}/shipments/{parcel['shipmentId']}"
    assert put(path, report | {"deliveredAt": "2026-02-01T08:00:00Z"}) == 200
    line = {"productId": product, "quantity": 1, "restock": True}
    assert put(f"{order}/returns/R-1", {"status": "RECEIVED", "lines": [line]}) == 201
    assert api.stock(product) == 4


def tour_baskets(api: Api) -> None:
    """Calls every route of baskets, and checks one out twice."""
    user, product = api.create_user(), api.create_product(stock=9)
    basket = f"/users/{user}/basket"
    item = f"{basket}/items/{product}"
    assert api.request("PUT", item, {"quantity": 2}).json()["items"][0]["quantity"] == 2
    assert api.request("GET", basket).headers["ETag"] == '"1"'
    assert api.request("DELETE", item).json()["items"] == []
    assert api.request("PUT", item, {"quantity": 2}).status_code == 200
    assert api.request("DELETE", basket).status_code == 204
    assert api.request("PUT", item, {"quantity": 2}).status_code == 200
    first, second = (api.request("POST", f"{basket}/checkout", {}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["orderId"] == second.json()["orderId"]
    assert api.wait_until_final(first.json()["orderId"])["status"] == "FULFILLED"


def tour_schedule(stack: RunningStack, api: Api, partner: FulfillmentPartner) -> None:
    """Cancels an order in fulfillment, and requeues an order that has no message in the queue."""
    partner.shipping_by_reference["slow"] = ShippingPlan(ships_after=3600.0)
    lines = [{"productId": api.create_product(), "quantity": 1}]
    slow = {"userId": api.create_user(), "items": lines, "reference": "slow"}
    order = f"/orders/{api.create('/orders', slow)['orderId']}"
    wait_for(lambda: api.request("GET", order).json()["status"], lambda status: status == "IN_FULFILLMENT")
    assert api.request("POST", f"{order}/cancel").status_code == 202
    wait_for(lambda: api.request("GET", order).json()["status"], lambda status: status == "CANCELLED")
    store_stalled_order(stack, "lost-0", api.create_user(), api.create_product())
    report = run_schedule(stack)
    assert report.get("requeued") == 1, report
    assert api.wait_until_final("lost-0")["status"] == "FULFILLED"


def attach_boundary(stack: RunningStack, signing_secret_arn: str) -> None:
    """Attaches to every role the permissions boundary that bootstrap/ makes for this stack.

    The program cannot do it here, because the emulator starts without the policy.
    """
    target = Target(
        stack=stack.stack,
        partition="aws",
        region=stack.endpoint.region,
        account=stack.endpoint.account_id,
        state_bucket="",
        secrets_key_arn="",
    )
    client = stack.client("iam")
    document = with_emulator_actions(bound_roles(target, signing_secret_arn))
    boundary = client.create_policy(PolicyName=target.boundary, PolicyDocument=document)["Policy"]["Arn"]
    assert boundary == target.boundary_arn
    for role in client.list_roles()["Roles"]:
        client.put_role_permissions_boundary(RoleName=role["RoleName"], PermissionsBoundary=boundary)


def tour() -> tuple[Permissions, Grants]:
    """Returns the permissions that each function used on the tour, and the grants of `examples/billing`.

    The roles of the main project have their permissions boundary.
    """
    calls: dict[str, list[AwsCall]] = defaultdict(list)

    def record(request: Request, pass_on: Callable[[], Response]) -> Response:
        call = AwsCall(service=request.service, operation=request.operation, parameters=request.parameters)
        calls[request.function].append(call)
        return pass_on()

    with (
        PartnerServer(FulfillmentPartner("")) as server,
        running_stack(config={"fulfillmentUrl": f"{server.url}orders"}) as stack,
    ):
        secret = stack.client("secretsmanager").get_secret_value(SecretId=SIGNING_SECRET)
        server.partner.secret = secret["SecretString"]
        attach_boundary(stack, secret["ARN"])
        billing = stack.deploy(PROJECT_ROOT / "examples" / "billing")
        api = Api(stack.api_url, stack.api_keys["free"], stack.api_keys["paid"])
        functions = {
            **stack.functions,
            **{one.name: one.outputs["name"] for one in billing.of_type(FUNCTION)},
        }
        with intercept_calls(stack.endpoint, functions, record):
            tour_records(api, "users", {"name": "Ada", "email": "a@example.com"}, {"name": "B"})
            tour_records(api, "products", {"title": "Lamp", "price": 1, "stock": 1}, {"price": 2})
            tour_emails(api)
            tour_catalog(api)
            tour_orders(api, server.partner, billing.outputs.values["billingUrl"])
            tour_reports(api, server.partner.secret)
            tour_baskets(api)
            tour_schedule(stack, api, server.partner)
            for path in ("/", "/openapi.json", "/docs"):
                assert api.request("GET", path).status_code == 200
        place = Place(region=stack.endpoint.region, account=stack.endpoint.account_id)
        needed = {}
        for function, name in functions.items():
            configuration = stack.client("lambda").get_function_configuration(FunctionName=name)
            environment = configuration["Environment"]["Variables"]
            needed[function] = with_variable_names(
                permissions_for(calls[function], place), environment, place
            )
        return needed, grants_by_variable(billing, place)


def called_in_crash_tests(workflow: str) -> Permissions:
    """Returns the permissions that each function used in the crash tests with this type of workflow."""
    used: dict[str, set[Permission]] = defaultdict(set)
    for scenario in SCENARIOS:
        if scenario.is_express is (workflow == "EXPRESS"):
            for function, permission in play(scenario, Hook()).cloud.iam.used:
                used[function].add(permission)
    return used


# --- The comparison ---------------------------------------------------------------------------------------


def test_every_function_uses_all_of_its_grants_and_needs_no_other() -> None:
    embedded, billing = tour()
    ungranted = {
        f"{function}: {permission}"
        for function, granted in {**grants("local", **FULFILLMENT_SYSTEM), **billing}.items()
        for permission in compare(granted, embedded.get(function, ())).ungranted
    }
    assert ungranted == set()
    crashes = {workflow: called_in_crash_tests(workflow) for workflow in ("STANDARD", "EXPRESS")}
    for workflow, of_this_type in crashes.items():
        for granted_by_function in (
            *(grants(stack, workflowType=workflow) for stack in ("dev", "prod", "local")),
            grants(workflowType=workflow, **FULFILLMENT_SYSTEM),
            billing,
        ):
            for function, granted in granted_by_function.items():
                used = set().union(
                    embedded.get(function, ()), *(calls[function] for calls in crashes.values())
                )
                if function in DEPENDENT_ON_TYPE:
                    used = of_this_type[function]
                unused = compare(granted, used).unused
                assert not unused, f"{function}, {workflow}"
