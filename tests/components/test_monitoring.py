"""Alarms, their recipients and the dashboard, and the metrics that they use."""

import json
import re
from typing import Any

import pytest

from components.packaging import function_names
from local.engine.monitored import ALARM, DASHBOARD, expressions, named_metrics, widgets
from local.engine.program import Resource
from local.engine.recorder import ACCOUNT_ID, REGION
from local.engine.stacks import declare_test_stack
from local.memory.state_machine import FUNCTIONS
from policy.resources import statements
from tests.components.recorded import FUNCTION, QUEUE, STACKS, TABLE

TOPIC = "aws:sns/topic:Topic"
TASKS = tuple(FUNCTIONS.values())

each_stack = pytest.mark.parametrize("stack", STACKS)

# Dimensions and useful statistics of each metric, as AWS documents them (November 2026).
# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
# docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
# docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
QUEUE_NAME, MACHINE = {"QueueName"}, {"StateMachineArn"}
STAGE, FUNCTION_NAME = {"ApiName", "Stage"}, {"FunctionName"}
A_TABLE, AN_INDEX = {"TableName"}, {"TableName", "GlobalSecondaryIndexName"}
BY_OPERATION = {"TableName", "Operation"}
COUNT, LEVEL, TIME = {"Sum"}, {"Maximum"}, {"p50", "p90", "p99", "Maximum"}
DOCUMENTED: dict[tuple[str, str], tuple[list[set[str]], set[str]]] = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ([QUEUE_NAME], LEVEL),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): ([QUEUE_NAME], LEVEL),
    ("AWS/States", "ExecutionsStarted"): ([MACHINE], COUNT),
    ("AWS/States", "ExecutionsSucceeded"): ([MACHINE], COUNT),
    ("AWS/States", "ExecutionsFailed"): ([MACHINE], COUNT),
    ("AWS/States", "ExecutionsTimedOut"): ([MACHINE], COUNT),
    ("AWS/States", "ExecutionThrottled"): ([MACHINE], COUNT),
    ("AWS/States", "ExpressExecutionBilledDuration"): ([MACHINE], COUNT),
    ("AWS/ApiGateway", "Count"): ([STAGE], COUNT),
    ("AWS/ApiGateway", "4XXError"): ([STAGE], COUNT),
    ("AWS/ApiGateway", "5XXError"): ([STAGE], COUNT),
    ("AWS/ApiGateway", "Latency"): ([STAGE], TIME),
    ("AWS/Lambda", "Invocations"): ([FUNCTION_NAME], COUNT),
    ("AWS/Lambda", "Errors"): ([FUNCTION_NAME], COUNT),
    ("AWS/Lambda", "Throttles"): ([FUNCTION_NAME], COUNT),
    ("AWS/Lambda", "Duration"): ([FUNCTION_NAME], {*TIME, "Sum"}),
    ("AWS/DynamoDB", "ThrottledRequests"): ([BY_OPERATION], COUNT),
    ("AWS/DynamoDB", "SystemErrors"): ([BY_OPERATION], COUNT),
    ("AWS/DynamoDB", "ReadThrottleEvents"): ([A_TABLE, AN_INDEX], COUNT),
    ("AWS/DynamoDB", "WriteThrottleEvents"): ([A_TABLE, AN_INDEX], COUNT),
    ("AWS/DynamoDB", "ConsumedReadCapacityUnits"): ([A_TABLE, AN_INDEX], COUNT),
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): ([A_TABLE, AN_INDEX], COUNT),
}
EXPRESS_ONLY = {("AWS/States", "ExpressExecutionBilledDuration")}


def alarm(stack: str, name: str, **config: Any) -> Resource:
    return (declare_test_stack(stack, **config) if config else declare_test_stack(stack)).get(ALARM, name)


# --- metrics ---


@each_stack
def test_a_stack_has_alarms_on_its_queue_workflow_api_functions_and_tables(stack: str) -> None:
    assert {found.name for found in declare_test_stack(stack).of_type(ALARM)} == {
        *("dead_letters", "oldest_message", "executions_failed", "executions_timed_out"),
        *("executions_throttled", "slow_tasks", "api_5xx", "api_latency", "api_refusals"),
        *("stalled_orders", "exhausted_attempts"),
        *(f"{name}_{problem}" for name in function_names() for problem in ("errors", "throttles")),
        *(
            f"{table.name}_{problem}"
            for table in declare_test_stack(stack).of_type(TABLE)
            for problem in ("throttles", "system_errors")
        ),
    }


@each_stack
def test_every_metric_of_aws_is_documented(stack: str) -> None:
    for metric in named_metrics(declare_test_stack(stack)):
        if metric.namespace.startswith("AWS/"):
            dimensions, statistics = DOCUMENTED[metric.namespace, metric.name]
            assert metric.dimensions in dimensions, metric
            assert metric.statistic in statistics, metric


def test_metrics_of_express_machines_are_used_only_for_express_machines() -> None:
    express = {
        (metric.namespace, metric.name)
        for metric in named_metrics(declare_test_stack(workflowType="EXPRESS"))
    }
    standard = {(metric.namespace, metric.name) for metric in named_metrics(declare_test_stack())}
    assert express - standard == EXPRESS_ONLY
    assert not standard & EXPRESS_ONLY
    assert set(DOCUMENTED) <= express | standard


@each_stack
def test_every_metric_of_aws_belongs_to_a_resource_of_this_stack(stack: str) -> None:
    run = declare_test_stack(stack)
    known = {
        *(
            found.outputs["name"]
            for found in (*run.of_type(FUNCTION), *run.of_type(QUEUE), *run.of_type(TABLE))
        ),
        *(found.outputs["arn"] for found in run.of_type("aws:sfn/stateMachine:StateMachine")),
        *(found.outputs["name"] for found in run.of_type("aws:apigateway/restApi:RestApi")),
        *("v1", "byCategory", "byUser", "byTime", "byReference", "failed", "open"),
    }
    for metric in named_metrics(run):
        if metric.namespace.startswith("AWS/"):
            assert metric.values <= known, metric
    tables = {found.outputs["name"] for found in run.of_type(TABLE)}
    queried = [re.search(r"TableName = '(.+)'$", text) for text in expressions(run) if "SELECT" in text]
    assert {found[1] for found in queried if found} == tables


@each_stack
def test_every_expression_uses_only_declared_metrics(stack: str) -> None:
    for found in declare_test_stack(stack).of_type(ALARM):
        _check_math(found.inputs.get("metricQueries", []))
    for widget in widgets(declare_test_stack(stack)):
        _check_math([line[-1] for line in widget["properties"].get("metrics", [])])


def _check_math(entries: list[dict[str, Any]]) -> None:
    ids = [entry["id"] for entry in entries if "id" in entry]
    assert len(set(ids)) == len(ids)
    for entry in entries:
        expression = entry.get("expression", "")
        if "SELECT" not in expression:
            used = set(re.findall(r"\b[a-z][a-z0-9_]*\b", re.sub(r"SEARCH\('.*?', '\w+'\)", "", expression)))
            assert used <= set(ids), expression


# --- thresholds ---


@each_stack
def test_one_dead_letter_raises_an_alarm(stack: str) -> None:
    inputs = alarm(stack, "dead_letters").inputs
    assert inputs["dimensions"] == {
        "QueueName": declare_test_stack(stack).get(QUEUE, "orders-dead-letters").outputs["name"]
    }
    assert (inputs["comparisonOperator"], inputs["threshold"]) == ("GreaterThanThreshold", 0)
    assert (inputs["evaluationPeriods"], inputs["period"]) == (1, 60)


def test_thresholds_come_from_the_configuration() -> None:
    config = {"alarmErrorPercent": 7, "alarmLatencyMs": 900, "alarmQueueSeconds": 120}
    assert alarm("dev", "api_5xx", **config).inputs["threshold"] == 7
    assert alarm("dev", "users_api_errors", **config).inputs["threshold"] == 7
    assert alarm("dev", "api_latency", **config).inputs["threshold"] == 900
    assert alarm("dev", "oldest_message", **config).inputs["threshold"] == 120


def test_error_rates_are_percentages_of_all_requests() -> None:
    (rate, *_) = alarm("dev", "api_5xx").inputs["metricQueries"]
    assert rate["expression"] == "100 * errors / requests"
    (rate, *_) = alarm("dev", "users_api_errors").inputs["metricQueries"]
    assert rate["expression"] == "100 * errors / invocations"


def test_an_outcome_of_a_task_is_not_counted_as_an_error() -> None:
    """Lambda counts a rejected order as an error, although it is an expected outcome."""
    for task in TASKS:
        (rate, *parts) = alarm("dev", f"{task}_errors").inputs["metricQueries"]
        assert rate["expression"] == "100 * (errors - FILL(outcomes, 0)) / invocations"
        (outcomes,) = [part["metric"] for part in parts if part["id"] == "outcomes"]
        assert (outcomes["metricName"], outcomes["dimensions"]) == ("TaskOutcomes", {"service": task})


@each_stack
def test_missing_data_starts_no_alarm_not_even_after_the_first_deployment(stack: str) -> None:
    missing = {
        found.name: found.inputs["treatMissingData"] for found in declare_test_stack(stack).of_type(ALARM)
    }
    assert missing.pop("stalled_orders") == "ignore"
    assert set(missing.values()) == {"notBreaching"}


@each_stack
def test_three_missing_runs_of_the_requeue_raise_an_alarm_at_once(stack: str) -> None:
    """`treatMissingData` would be later: CloudWatch evaluates older values while it has any."""
    inputs = alarm(stack, "stalled_orders").inputs
    (filled, stalled) = inputs["metricQueries"]
    assert filled["expression"] == "FILL(stalled, 1)"
    assert inputs["threshold"] < 1
    assert (stalled["id"], stalled["metric"]["metricName"]) == ("stalled", "OrdersStalled")
    assert stalled["metric"]["period"] == 3 * 5 * 60
    assert (inputs["datapointsToAlarm"], inputs["evaluationPeriods"]) == (1, 1)


@pytest.mark.parametrize(("name", "least"), [("api_latency", 10), ("api_refusals", 100)])
def test_an_alarm_on_a_share_needs_enough_requests(name: str, least: int) -> None:
    (share, *parts) = alarm("prod", name).inputs["metricQueries"]
    assert f"IF(requests >= {least}, " in share["expression"]
    assert share["expression"].endswith(", 0)" + ")" * (name == "api_latency"))
    assert "requests" in {part["id"] for part in parts}


def test_latency_is_the_99th_percentile_and_at_low_traffic_the_90th() -> None:
    (chosen, *parts) = alarm("prod", "api_latency").inputs["metricQueries"]
    assert chosen["expression"] == "IF(requests >= 100, p99, IF(requests >= 10, p90, 0))"
    assert {part["id"]: part["metric"]["stat"] for part in parts} == {
        "requests": "Sum",
        "p99": "p99",
        "p90": "p90",
    }


def test_a_task_near_its_timeout_raises_an_alarm() -> None:
    (slowest, *parts) = alarm("prod", "slow_tasks").inputs["metricQueries"]
    assert slowest["expression"] == f"MAX([{', '.join(part['id'] for part in parts)}])"
    assert {part["id"] for part in parts} == set(TASKS)
    assert {part["metric"]["stat"] for part in parts} == {"Maximum"}
    assert alarm("prod", "slow_tasks").inputs["threshold"] == 4800


# --- recipients ---


@each_stack
def test_every_alarm_notifies_the_topic_at_its_start_and_its_end(stack: str) -> None:
    run = declare_test_stack(stack)
    (topic,) = run.of_type(TOPIC)
    for found in run.of_type(ALARM):
        assert found.inputs["alarmActions"] == found.inputs["okActions"] == [topic.outputs["arn"]]


@each_stack
def test_every_alarm_describes_its_meaning_and_links_its_runbook(stack: str) -> None:
    for found in declare_test_stack(stack).of_type(ALARM):
        meaning, _, runbook = found.inputs["alarmDescription"].partition(" What to do: ")
        assert meaning.endswith(".")
        assert runbook == f"docs/operations.md#{found.name}"
    wiki = alarm("dev", "api_5xx", runbookUrl="https://wiki.example/orders").inputs["alarmDescription"]
    assert wiki.endswith(" What to do: https://wiki.example/orders#api_5xx")


@each_stack
def test_only_alarms_of_this_account_may_use_the_topic_and_its_key(stack: str) -> None:
    run = declare_test_stack(stack)
    (topic,), (key,) = run.of_type(TOPIC), run.of_type("aws:kms/key:Key")
    assert topic.inputs["kmsMasterKeyId"] == key.outputs["arn"]
    assert key.inputs["enableKeyRotation"] is True
    administer, use = statements(key.inputs["policy"])
    assert administer["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}
    (publish,) = statements(run.of_type("aws:sns/topicPolicy:TopicPolicy")[0].inputs["policy"])
    for statement in (use, publish):
        assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT_ID}
    assert publish["Resource"] == topic.outputs["arn"]
    assert publish["Condition"]["ArnLike"] == {
        "aws:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT_ID}:alarm:*"
    }


def test_the_configured_address_is_subscribed_to_the_topic() -> None:
    subscription = "aws:sns/topicSubscription:TopicSubscription"
    assert declare_test_stack().of_type(subscription) == []
    (found,) = declare_test_stack(alarmEmail="ops@example.com").of_type(subscription)
    assert (found.inputs["protocol"], found.inputs["endpoint"]) == ("email", "ops@example.com")


# --- the dashboard ---


@each_stack
def test_the_dashboard_fits_one_screen_without_a_gap(stack: str) -> None:
    cells = [
        (column, row)
        for widget in widgets(declare_test_stack(stack))
        for column in range(widget["x"], widget["x"] + widget["width"])
        for row in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(set(cells)) == len(cells)
    assert {column for column, _ in cells} == set(range(24))
    height = max(row for _, row in cells) + 1
    assert height <= 20
    assert len(cells) == 24 * height


@each_stack
def test_the_dashboard_shows_all_alarms_and_its_url_is_exported(stack: str) -> None:
    run = declare_test_stack(stack)
    (shown,) = [widget for widget in widgets(run) if widget["type"] == "alarm"]
    assert set(shown["properties"]["alarms"]) == {found.outputs["arn"] for found in run.of_type(ALARM)}
    assert len(shown["properties"]["alarms"]) <= 100  # CloudWatch's limit
    (board,) = run.of_type(DASHBOARD)
    assert run.outputs.values["dashboardUrl"].endswith(
        f"#dashboards/dashboard/{board.inputs['dashboardName']}"
    )
    assert {widget["properties"].get("region", REGION) for widget in widgets(run)} == {REGION}


@each_stack
def test_the_dashboard_is_valid_for_cloudwatch(stack: str) -> None:
    (board,) = declare_test_stack(stack).of_type(DASHBOARD)
    assert json.loads(board.inputs["dashboardBody"])["widgets"]
    for widget in widgets(declare_test_stack(stack)):
        properties = widget["properties"]
        if widget["type"] == "metric":
            assert properties["title"]
            assert properties["view"] in ("timeSeries", "singleValue")
            assert 1 <= len(shown_lines(widget)) <= len(properties["metrics"]) <= 500  # CloudWatch's limit
            assert all(entry["label"] for entry in shown_lines(widget))


@each_stack
def test_no_graph_has_two_lines_of_one_color(stack: str) -> None:
    """CloudWatch has ten colors for lines without their own. Its limit, 500 metrics, is far above."""
    for widget in widgets(declare_test_stack(stack)):
        assert len(shown_lines(widget)) <= 10, widget["properties"]["title"]


@each_stack
@pytest.mark.parametrize(("metric", "statistic"), [("Errors", "Sum"), ("Duration", "p99")])
def test_each_function_has_its_line_in_one_graph(stack: str, metric: str, statistic: str) -> None:
    lines = [
        line[-1]["label"]
        for widget in widgets(declare_test_stack(stack))
        for line in widget["properties"].get("metrics", [])
        if line[:2] == ["AWS/Lambda", metric] and line[-1]["stat"] == statistic
    ]
    assert sorted(lines) == sorted(function_names())


def shown_lines(widget: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the options of the lines that a widget shows."""
    lines = widget["properties"].get("metrics", [])
    return [line[-1] for line in lines if line[-1].get("visible", True)]


def test_named_metrics_have_their_dimensions_and_statistic() -> None:
    found = {
        metric
        for metric in named_metrics(declare_test_stack())
        if metric.name in ("OrdersRejected", "SystemErrors")
    }
    assert {(metric.dimensions, metric.statistic) for metric in found} == {
        (frozenset({"reason", "service"}), "Sum"),
        (frozenset({"Operation", "TableName"}), "Sum"),
    }
