"""What the operators see: alarms, each with a runbook, that reach somebody, and one dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A value that CloudWatch computes: metric math over `metrics`, or without these a query of its own."""

    expression: pulumi.Input[str]
    label: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AlarmCondition:
    """An alarm rings when `count` of the last `of` periods (seconds) are above the threshold."""

    above: float = 0
    period: int = _PERIOD
    count: int = 1
    of: int = 1
    # Metrics of events that do not happen have no values: silence is good, but where it says otherwise.
    missing: str = "notBreaching"


class Monitoring(pulumi.ComponentResource):
    """Alarms over everything that can go wrong with an order, named as the sections of the runbook, and a
    dashboard that tells the flow from the client to the shipped order."""

    dashboard_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        observed: MonitoredParts,
        settings: MonitoringSettings,
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
        region = aws.get_region_output().region
        board = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=f"{pulumi.get_project()}-{pulumi.get_stack()}",
            dashboard_body=dashboard.body(
                observed, settings, alarms=[alarm.arn for alarm in self._alarms], region=region
            ),
            opts=self._child,
        )
        self.dashboard_url = pulumi.Output.format(
            "https://{0}.console.aws.amazon.com/cloudwatch/home?region={0}#dashboards/dashboard/{1}",
            region,
            board.dashboard_name,
        )
        self.register_outputs({"dashboardUrl": self.dashboard_url})

    # --- whom an alarm reaches ---

    def _make_topic(self, name: str) -> aws.sns.Topic:
        partition = aws.get_partition_output().partition
        account = aws.get_caller_identity_output().account_id
        region = aws.get_region_output().region
        # AWS's own key for SNS lets no CloudWatch in: alarms would be dropped without a word.
        key = aws.kms.Key(
            f"{name}-alarms",
            description="Encrypts what the alarms say",
            enable_key_rotation=True,
            policy=iam.policy(
                # AWS's default: IAM decides who administers the key. Without it nobody ever could.
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

    # --- what is watched ---

    def _watch_queue(self, observed: MonitoredParts) -> None:
        self._alarm(
            "dead_letters",
            "Messages could not be handed to the workflow and lie in the dead-letter queue.",
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
            "Workflow executions failed: their orders are FAILED, or open and tried again later.",
            of_workflow(observed.workflow, "ExecutionsFailed"),
            AlarmCondition(),
        )
        self._alarm(
            "executions_timed_out",
            "Workflow executions took longer than the whole may; their orders are tried again later.",
            of_workflow(observed.workflow, "ExecutionsTimedOut"),
            AlarmCondition(),
        )

    def _watch_api(self, observed: MonitoredParts) -> None:
        percent, milliseconds = self._settings.error_percent, self._settings.latency_ms
        self._alarm(
            "api_5xx",
            f"More than {percent} % of the API's answers are server errors.",
            Formula(
                expression="100 * errors / requests",
                label="Server errors (%)",
                metrics={
                    "errors": of_api(observed.api, "5XXError"),
                    "requests": of_api(observed.api, "Count"),
                },
            ),
            AlarmCondition(above=percent, count=2, of=3),
        )
        self._alarm(
            "api_latency",
            f"One in a hundred API requests takes longer than {milliseconds} ms.",
            of_api(observed.api, "Latency").by("p99"),
            AlarmCondition(above=milliseconds, count=2, of=3),
        )

    def _watch_function(self, function: LambdaFunction, observed: MonitoredParts) -> None:
        percent = self._settings.error_percent
        failures = "errors"
        metrics = {
            "errors": of_function(function, "Errors"),
            "invocations": of_function(function, "Invocations"),
        }
        if function in observed.workflow.tasks:
            # To Lambda every exception is an error; these are how a task tells the workflow what it found.
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
            f"Lambda refuses to run {function.name}: its concurrency, or the account's, is used up.",
            of_function(function, "Throttles"),
            AlarmCondition(count=2, of=3),
        )

    def _watch_tables(self, observed: MonitoredParts) -> None:
        for name, table in observed.tables.items():
            self._alarm(
                f"{name}_throttles",
                f"DynamoDB refuses requests to the table {name}, or to one of its indexes, for their rate.",
                Formula(
                    expression=of_table_over_operations(table, "ThrottledRequests"),
                    label="Throttled requests",
                ),
                AlarmCondition(count=2, of=3),
            )
            self._alarm(
                f"{name}_system_errors",
                f"DynamoDB fails requests to the table {name} for reasons of its own.",
                Formula(expression=of_table_over_operations(table, "SystemErrors"), label="System errors"),
                AlarmCondition(count=2, of=3),
            )

    def _watch_requeue(self, observed: MonitoredParts) -> None:
        runs = 3
        self._alarm(
            "stalled_orders",
            "Orders were open for too long and had to be tried again, or nobody looks for such orders.",
            Formula(
                # Every run tells a number, be it 0: none at all means that there are no runs. Missing data as
                # such would ring late: before they count, CloudWatch looks at older data, as far as it goes.
                # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
                expression="FILL(stalled, 1)",
                label="Stalled orders, or 1 without a run",
                metrics={"stalled": from_code("requeue_stalled_orders", "OrdersStalled")},
            ),
            AlarmCondition(period=runs * _MINUTE * observed.requeue.every_minutes, missing="breaching"),
        )
        self._alarm(
            "exhausted_attempts",
            "Orders are FAILED because all their attempts came to no end; somebody has to look at each.",
            from_code("requeue_stalled_orders", "AttemptsExhausted"),
            AlarmCondition(),
        )

    # --- how an alarm is made ---

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
    arguments: dict[str, Any] = {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": metric.dimensions,
        "period": period,
    }
    if metric.statistic.startswith("p"):
        # The slowest of three requests is no percentile.
        return {
            **arguments,
            "extended_statistic": metric.statistic,
            "evaluate_low_sample_count_percentiles": "ignore",
        }
    return {**arguments, "statistic": metric.statistic}


def _computed(formula: Formula, period: int) -> dict[str, Any]:
    result = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="result",
        expression=formula.expression,
        label=formula.label,
        # Of math it is that of the metrics.
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
