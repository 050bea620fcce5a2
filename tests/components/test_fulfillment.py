"""The connection to a fulfillment system: permissions, environment variables, routes and alarms."""

import json
from typing import Any

from functions.shared.events import CANCELLATION_REQUESTED, SOURCE
from local.engine.monitored import ALARM, widgets
from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.permissions import Permission, permissions_in
from policy.resources import EVENT_TARGET as TARGET
from policy.resources import PERMISSION
from tests.components.recorded import FUNCTION, ROLE, ROLE_POLICY, depends_on, policies_of
from tests.components.test_rest_api import methods

BUS = "aws:cloudwatch/eventBus:EventBus"
RULE = "aws:cloudwatch/eventRule:EventRule"
SYSTEM: dict[str, Any] = {
    "fulfillmentUrl": "https://fulfillment.example/orders",
    "fulfillmentSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT_ID}:secret:partner-AbCdEf",
}


def test_a_fulfillment_system_adds_the_permissions_to_read_one_secret_and_the_order() -> None:
    secret = SYSTEM["fulfillmentSecretArn"]
    run = declare_test_stack(**SYSTEM)
    role = run.get(ROLE, "fulfill_order-role")
    policy = run.get(ROLE_POLICY, "fulfill_order-reads-signing-secret")
    assert set(permissions_in(policy)) == {Permission("secretsmanager:GetSecretValue", secret)}
    default = policies_of(declare_test_stack(), declare_test_stack().get(ROLE, "fulfill_order-role"))
    more = {found.name for found in policies_of(run, role)} - {found.name for found in default}
    assert more == {policy.name, "fulfill_order-reads-orders"}
    variables = run.get(FUNCTION, "fulfill_order").inputs["environment"]["variables"]
    assert {key: value for key, value in variables.items() if key.startswith("FULFILLMENT_")} == {
        "FULFILLMENT_URL": "https://fulfillment.example/orders",
        "FULFILLMENT_SECRET_ARN": secret,
        "FULFILLMENT_OVERDUE_HOURS": "48",
    }


def test_only_a_stack_with_a_fulfillment_system_has_the_routes_of_its_reports() -> None:
    reports = {"PUT /orders/{orderId}/shipments/{shipmentId}", "PUT /orders/{orderId}/refusals/{refusalId}"}
    assert reports.isdisjoint(methods(declare_test_stack()))
    with_system = methods(declare_test_stack(**SYSTEM))
    assert {route for route, needs_key in with_system.items() if needs_key} >= reports


def test_a_request_to_cancel_invokes_the_requeue_at_once_and_nothing_else() -> None:
    run, default = declare_test_stack(**SYSTEM), declare_test_stack()
    (rule,), (target,) = run.of_type(RULE), run.of_type(TARGET)
    assert json.loads(rule.inputs["eventPattern"]) == {
        "source": [SOURCE],
        "detail-type": [CANCELLATION_REQUESTED],
    }
    requeue = run.get(FUNCTION, "requeue_stalled_orders").outputs["arn"]
    bus = run.get(BUS, "orderflow").outputs["name"]
    assert (target.inputs["arn"], target.inputs["rule"]) == (requeue, rule.outputs["name"])
    assert rule.inputs["eventBusName"] == target.inputs["eventBusName"] == bus
    assert target.inputs["retryPolicy"]["maximumEventAgeInSeconds"] == 300
    permission = run.get(PERMISSION, "orderflow-bus-invokes-requeue_stalled_orders")
    assert permission.inputs["sourceArn"] == rule.outputs["arn"]
    assert depends_on(run, target, permission)
    assert default.of_type(RULE) == default.of_type(TARGET) == []


def test_only_a_stack_with_a_fulfillment_system_has_alarms_on_its_reports() -> None:
    run = declare_test_stack(**SYSTEM)
    default = {found.name for found in declare_test_stack().of_type(ALARM)}
    assert {found.name for found in run.of_type(ALARM)} - default == {
        "unexpected_shipments",
        "overdue_orders",
    }
    for name, metric, function in (
        ("unexpected_shipments", "UnexpectedShipments", "reports_api"),
        ("overdue_orders", "OrdersOverdue", "requeue_stalled_orders"),
    ):
        inputs = run.get(ALARM, name).inputs
        assert (inputs["metricName"], inputs["dimensions"]) == (metric, {"service": function})
        assert (inputs["statistic"], inputs["threshold"], inputs["evaluationPeriods"]) == ("Sum", 0, 1)
        assert inputs["treatMissingData"] == "notBreaching"


def test_the_alarm_on_overdue_orders_says_how_long_the_system_may_be_silent() -> None:
    alarm = declare_test_stack(**SYSTEM, fulfillmentOverdueHours=72).get(ALARM, "overdue_orders")
    assert "for 72 hours" in alarm.inputs["alarmDescription"]


def test_the_dashboard_has_one_more_graph_and_no_gap() -> None:
    default, shown = widgets(declare_test_stack()), widgets(declare_test_stack(**SYSTEM))
    titles = [[widget["properties"].get("title") for widget in found] for found in (shown, default)]
    assert set(titles[0]) - set(titles[1]) == {"The fulfillment system: reports missing, or not expected"}
    last = max(widget["y"] for widget in shown)
    assert [(widget["x"], widget["width"]) for widget in shown if widget["y"] == last] == [
        (0, 8),
        (8, 8),
        (16, 8),
    ]
