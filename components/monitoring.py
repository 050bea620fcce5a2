"""Alarms, each with a section of the runbook; the topic that receives them; and the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import pulumi
import pulumi_aws as aws

from components import dashboard, iam
from components.function import LambdaFunction
from components.metrics import (
    Metric,
    MonitoredParts,
    from_code,
    of_api,
    of_dead_letters,
    of_function,
    of_queue,
    of_table_over_operations,
    of_workflow,
)
from components.settings.monitoring import MonitoringSettings

_MINUTE: Final = 60
_PERIOD: Final = 5 * _MINUTE
_REFUSED_PERCENT: Final = 50
_NEAR_TIMEOUT: Final = 0.8  # of a task's timeout


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A value that CloudWatch computes: metric math over `metrics`, or a Metrics Insights query without."""

    expression: pulumi.Input[str]
    label: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AlarmCondition:
    """An alarm starts when `count` of the last `of` periods (seconds) are above the threshold."""

    above: float = 0
    period: int = _PERIOD
    count: int = 1
    of: int = 1
    # A metric has no value in a period without events.
    missing: str = "notBreaching"


class Alarm(NamedTuple):
    """An alarm under the name of its section in the runbook. The meaning is one sentence."""

    name: str
    meaning: str
    watched: Metric | Formula
    when: AlarmCondition


class Monitoring(pulumi.ComponentResource):
    """The alarms over the order's path, and a dashboard.

    `alarms` and `graphs` are those of optional capabilities.
    """

    dashboard_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        observed: MonitoredParts,
        settings: MonitoringSettings,
        alarms: Sequence[Alarm] = (),
        graphs: Sequence[dashboard.Widget] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:monitoring:Monitoring", name, None, opts)
        self._settings = settings
        self._child = pulumi.ResourceOptions(parent=self)
        self._topic = self._make_topic(name)
        self._alarms: list[aws.cloudwatch.MetricAlarm] = []
        self._watch_queue(observed)
        self._watch_workflow(observed)
        self._watch_api(observed)
        for function in observed.functions:
            self._watch_function(function, observed)
        self._watch_tables(observed)
        self._watch_requeue(observed)
        for alarm in alarms:
            self._alarm(*alarm)
        region = aws.get_region_output().region
        board = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=dashboard.body(
                observed,
                settings,
                alarms=[alarm.arn for alarm in self._alarms],
                graphs=graphs,
                region=region,
            ),
            opts=self._child,
        )
        self.dashboard_url = pulumi.Output.format(
            "https://{0}.console.aws.amazon.com/cloudwatch/home?region={0}#dashboards/dashboard/{1}",
            region,
            board.dashboard_name,
        )
        self.register_outputs({"dashboardUrl": self.dashboard_url})

    # --- the receiver ---

    def _make_topic(self, name: str) -> aws.sns.Topic:
        partition = aws.get_partition_output().partition
        account = aws.get_caller_identity_output().account_id
        region = aws.get_region_output().region
        # CloudWatch may not use AWS's own key for SNS: alarms would be dropped without an error.
        key = aws.kms.Key(
            f"{name}-alarms",
            description="Encrypts the notifications of alarms",
            enable_key_rotation=True,
            policy=iam.policy(
                # AWS's default: IAM decides which principals administer the key.
                {
                    "Sid": "LetIamDecide",
                    "Effect": "Allow",
                    "Principal": {"AWS": pulumi.Output.format("arn:{0}:iam::{1}:root", partition, account)},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Sid": "LetAlarmsPublish",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:SourceAccount": account}},
                },
            ),
            opts=self._child,
        )
        topic = aws.sns.Topic(f"{name}-alarms", kms_master_key_id=key.arn, opts=self._child)
        alarms = pulumi.Output.format("arn:{0}:cloudwatch:{1}:{2}:alarm:*", partition, region, account)
        aws.sns.TopicPolicy(
            f"{name}-alarms",
            arn=topic.arn,
            policy=iam.policy(
                {
                    "Sid": "LetAlarmsPublish",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": "sns:Publish",
                    "Resource": topic.arn,
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": account},
                        "ArnLike": {"aws:SourceArn": alarms},
                    },
                }
            ),
            opts=self._child,
        )
        if self._settings.email:
            aws.sns.TopicSubscription(
                f"{name}-alarms-by-email",
                topic=topic.arn,
                protocol="email",
                endpoint=self._settings.email,
                opts=self._child,
            )
        return topic

    # --- the alarms ---

    def _watch_queue(self, observed: MonitoredParts) -> None:
        self._alarm(
            "dead_letters",
            "The dead-letter queue has messages that did not start a workflow.",
            of_dead_letters(observed.queue, "ApproximateNumberOfMessagesVisible").by("Maximum"),
            AlarmCondition(period=_MINUTE),
        )
        self._alarm(
            "oldest_message",
            f"Orders wait longer than {self._settings.queue_seconds} s in the queue for their workflow.",
            of_queue(observed.queue, "ApproximateAgeOfOldestMessage").by("Maximum"),
            AlarmCondition(above=self._settings.queue_seconds, period=_MINUTE, count=3, of=3),
        )

    def _watch_workflow(self, observed: MonitoredParts) -> None:
        self._alarm(
            "executions_failed",
            "Workflow executions failed for technical reasons. Their orders are open and are retried.",
            of_workflow(observed.workflow, "ExecutionsFailed"),
            AlarmCondition(),
        )
        self._alarm(
            "executions_timed_out",
            "Workflow executions exceeded their time limit. Their orders are open and are retried.",
            of_workflow(observed.workflow, "ExecutionsTimedOut"),
            AlarmCondition(),
        )
        self._alarm(
            "executions_throttled",
            "Step Functions throttles state transitions: orders take longer.",
            of_workflow(observed.workflow, "ExecutionThrottled"),
            AlarmCondition(count=2, of=3),
        )
        tasks = observed.workflow.tasks
        limit = _NEAR_TIMEOUT * max(task.timeout for task in tasks)
        self._alarm(
            "slow_tasks",
            f"A task of the workflow ran longer than {limit:g} s, and is near its timeout.",
            Formula(
                expression=f"MAX([{', '.join(task.name for task in tasks)}])",
                label="Slowest task (ms)",
                metrics={task.name: of_function(task, "Duration").by("Maximum") for task in tasks},
            ),
            AlarmCondition(above=round(1000 * limit), count=2, of=3),
        )

    def _watch_api(self, observed: MonitoredParts) -> None:
        percent, milliseconds = self._settings.error_percent, self._settings.latency_ms
        requests = {"requests": of_api(observed.api, "Count")}
        self._alarm(
            "api_5xx",
            f"More than {percent} % of the API's responses are server errors.",
            Formula(
                expression="100 * errors / requests",
                label="Server errors (%)",
                metrics={"errors": of_api(observed.api, "5XXError"), **requests},
            ),
            AlarmCondition(above=percent, count=2, of=3),
        )
        self._alarm(
            "api_latency",
            f"One in a hundred API requests takes longer than {milliseconds} ms (one in ten at low traffic).",
            Formula(
                # The 99th percentile of fewer than 100 requests is the slowest one. CloudWatch's own rule for
                # few samples needs 1,000: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
                # percentiles-with-low-samples.html
                expression="IF(requests >= 100, p99, IF(requests >= 10, p90, 0))",
                label="Milliseconds",
                metrics={
                    **requests,
                    **{name: of_api(observed.api, "Latency").by(name) for name in ("p99", "p90")},
                },
            ),
            AlarmCondition(above=milliseconds, count=2, of=3),
        )
        self._alarm(
            "api_refusals",
            f"More than {_REFUSED_PERCENT} % of the API's responses are 4xx: wrong keys (403), used-up "
            "quotas (429), or errors of a client.",
            Formula(
                # API Gateway counts 4xx together: it has no metric per status.
                expression="IF(requests >= 100, 100 * refused / requests, 0)",
                label="Refused requests (%)",
                metrics={"refused": of_api(observed.api, "4XXError"), **requests},
            ),
            AlarmCondition(above=_REFUSED_PERCENT, count=3, of=3),
        )

    def _watch_function(self, function: LambdaFunction, observed: MonitoredParts) -> None:
        percent = self._settings.error_percent
        failures = "errors"
        metrics = {
            "errors": of_function(function, "Errors"),
            "invocations": of_function(function, "Invocations"),
        }
        if function in observed.workflow.tasks:
            # Lambda counts every exception as an error. A task also raises for an expected outcome.
            failures = "(errors - FILL(outcomes, 0))"
            metrics["outcomes"] = from_code(function.name, "TaskOutcomes")
        self._alarm(
            f"{function.name}_errors",
            f"More than {percent} % of the invocations of {function.name} fail.",
            Formula(
                expression=f"100 * {failures} / invocations", label="Failed invocations (%)", metrics=metrics
            ),
            AlarmCondition(above=percent, count=2, of=3),
        )
        self._alarm(
            f"{function.name}_throttles",
            f"Lambda throttles {function.name}: its concurrency, or the account's, is used up.",
            of_function(function, "Throttles"),
            AlarmCondition(count=2, of=3),
        )

    def _watch_tables(self, observed: MonitoredParts) -> None:
        for name, table in observed.tables.items():
            self._alarm(
                f"{name}_throttles",
                f"DynamoDB throttles requests to the table {name} or to one of its indexes.",
                Formula(
                    expression=of_table_over_operations(table, "ThrottledRequests"),
                    label="Throttled requests",
                ),
                AlarmCondition(count=2, of=3),
            )
            self._alarm(
                f"{name}_system_errors",
                f"DynamoDB answers requests to the table {name} with server errors.",
                Formula(expression=of_table_over_operations(table, "SystemErrors"), label="System errors"),
                AlarmCondition(count=2, of=3),
            )

    def _watch_requeue(self, observed: MonitoredParts) -> None:
        runs = 3
        self._alarm(
            "stalled_orders",
            "Orders were open for too long and got another attempt, or the requeue did not run.",
            Formula(
                # Every run emits a number, also 0, so a period without one had no runs. FILL finds that at
                # once. `missing` would take effect late: CloudWatch first evaluates older values. Before the
                # first run of a new stack there is none, FILL adds nothing, and the alarm does not start.
                # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
                expression="FILL(stalled, 1)",
                label="Stalled orders, or 1 without a run",
                metrics={"stalled": from_code("requeue_stalled_orders", "OrdersStalled")},
            ),
            AlarmCondition(period=runs * _MINUTE * observed.requeue.every_minutes, missing="ignore"),
        )
        self._alarm(
            "exhausted_attempts",
            "Orders are FAILED because all their attempts were used. An operator decides about each.",
            from_code("requeue_stalled_orders", "AttemptsExhausted"),
            AlarmCondition(),
        )

    # --- the resource ---

    def _alarm(self, name: str, meaning: str, watched: Metric | Formula, when: AlarmCondition) -> None:
        self._alarms.append(
            aws.cloudwatch.MetricAlarm(
                name,
                alarm_description=f"{meaning} What to do: {self._settings.runbook_url}#{name}",
                comparison_operator="GreaterThanThreshold",
                threshold=when.above,
                datapoints_to_alarm=when.count,
                evaluation_periods=when.of,
                treat_missing_data=when.missing,
                alarm_actions=[self._topic.arn],
                ok_actions=[self._topic.arn],
                opts=self._child,
                **(
                    _single(watched, when.period)
                    if isinstance(watched, Metric)
                    else _computed(watched, when.period)
                ),
            )
        )


def _single(metric: Metric, period: int) -> dict[str, Any]:
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": metric.dimensions,
        "period": period,
        "statistic": metric.statistic,
    }


def _computed(formula: Formula, period: int) -> dict[str, Any]:
    result = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="result",
        expression=formula.expression,
        label=formula.label,
        # Math has the period of its metrics.
        period=None if formula.metrics else period,
        return_data=True,
    )
    parts = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=name,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=metric.dimensions,
                period=period,
                stat=metric.statistic,
            ),
            return_data=False,
        )
        for name, metric in formula.metrics.items()
    ]
    return {"metric_queries": [result, *parts]}
