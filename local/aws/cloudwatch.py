"""CloudWatch logs, alarms and dashboards."""

import json
from typing import Any, Final

from local.aws.core import OWN, Created, Creation, Field, Kind, not_emulated, only, tag_list, without_empty


def _create_log_group(call: Creation) -> Created:
    name, client = call.name(), call.client("logs")
    client.create_log_group(logGroupName=name, **without_empty(call.params))
    if call.inputs.get("retentionInDays"):
        client.put_retention_policy(logGroupName=name, retentionInDays=call.inputs["retentionInDays"])
    return name, {"name": name, "arn": call.cloud.arn("logs", f"log-group:{name}")}


def _create_metric_filter(call: Creation) -> Created:
    name = call.name()
    call.client("logs").put_metric_filter(filterName=name, **call.params)
    return name, {"name": name}


def _transformations(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Converts the provider's one transformation, with numbers as text, to the API's list with numbers."""
    converted = {
        "metricName": one["name"],
        "metricNamespace": one["namespace"],
        "metricValue": one["value"],
        "defaultValue": float(one["defaultValue"]) if "defaultValue" in one else None,
        "dimensions": one.get("dimensions"),
        "unit": one.get("unit"),
    }
    return [without_empty(converted)]


def _create_resource_policy(call: Creation) -> Created:
    call.client("logs").put_resource_policy(**call.params)
    return call.inputs["policyName"], {}


def _metric_query(query: dict[str, Any]) -> dict[str, Any]:
    """Converts the provider's query: account and label beside `metric`, dimensions as a mapping."""
    converted = {
        "Id": query["id"],
        "Expression": query.get("expression"),
        "Label": query.get("label"),
        "Period": query.get("period"),
        "ReturnData": query.get("returnData", False),
    }
    metric = query.get("metric")
    if metric:
        converted["MetricStat"] = without_empty(
            {
                "Metric": {
                    "Namespace": metric.get("namespace"),
                    "MetricName": metric["metricName"],
                    "Dimensions": _dimensions(metric.get("dimensions") or {}),
                },
                "Period": metric["period"],
                "Stat": metric["stat"],
                "Unit": metric.get("unit"),
            }
        )
    return {key: value for key, value in converted.items() if value is not None}


def _dimensions(dimensions: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())]


def _create_alarm(call: Creation) -> Created:
    name = call.name()
    params = dict(call.params)
    if call.inputs.get("metricQueries"):
        params["Metrics"] = [_metric_query(query) for query in call.inputs["metricQueries"]]
    call.client("cloudwatch").put_metric_alarm(AlarmName=name, **without_empty(params))
    return name, {"name": name, "arn": call.cloud.arn("cloudwatch", f"alarm:{name}")}


def _create_composite_alarm(call: Creation) -> Created:
    name = str(call.inputs["alarmName"])
    call.client("cloudwatch").put_composite_alarm(**without_empty(call.params))
    return name, {"arn": call.cloud.arn("cloudwatch", f"alarm:{name}")}


def _create_dashboard(call: Creation) -> Created:
    name = str(call.inputs["dashboardName"])
    json.loads(call.inputs["dashboardBody"])
    call.client("cloudwatch").put_dashboard(**call.params)
    account = call.cloud.endpoint.account_id
    return name, {"dashboardArn": f"arn:{call.cloud.partition}:cloudwatch::{account}:dashboard/{name}"}


_QUERY_FIELDS: Final[dict[str, Field | str]] = {
    "id": OWN,
    "expression": OWN,
    "label": OWN,
    "period": OWN,
    "returnData": OWN,
    "metric": Field(
        fields={
            "namespace": OWN,
            "metricName": OWN,
            "dimensions": OWN,
            "period": OWN,
            "stat": OWN,
            "unit": OWN,
        }
    ),
}

KINDS: Final = (
    Kind(
        resource_type="aws:cloudwatch/logGroup:LogGroup",
        inputs={
            "name": OWN,
            "retentionInDays": OWN,
            "logGroupClass": only("logGroupClass", "STANDARD"),
            "tags": "tags",
            "skipDestroy": OWN,  # used only by a deletion
            "kmsKeyId": not_emulated("the emulator keeps logs in memory"),
        },
        outputs=("arn", "name"),
        create=_create_log_group,
    ),
    Kind(
        # Stored. The emulator derives no metrics from logs.
        resource_type="aws:cloudwatch/logMetricFilter:LogMetricFilter",
        inputs={
            "name": OWN,
            "logGroupName": "logGroupName",
            "pattern": "filterPattern",
            "metricTransformation": Field(to="metricTransformations", convert=_transformations),
        },
        create=_create_metric_filter,
    ),
    Kind(
        # Stored. The emulator delivers no logs of other services.
        resource_type="aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
        inputs={"policyName": "policyName", "policyDocument": "policyDocument"},
        create=_create_resource_policy,
    ),
    Kind(
        resource_type="aws:cloudwatch/metricAlarm:MetricAlarm",
        inputs={
            "name": OWN,
            "alarmDescription": "AlarmDescription",
            "comparisonOperator": "ComparisonOperator",
            "evaluationPeriods": "EvaluationPeriods",
            "datapointsToAlarm": "DatapointsToAlarm",
            "namespace": "Namespace",
            "metricName": "MetricName",
            "dimensions": Field(to="Dimensions", convert=_dimensions),
            "metricQueries": Field(fields=_QUERY_FIELDS),
            "period": "Period",
            "statistic": "Statistic",
            "extendedStatistic": "ExtendedStatistic",
            "evaluateLowSampleCountPercentiles": "EvaluateLowSampleCountPercentile",
            "threshold": "Threshold",
            "treatMissingData": "TreatMissingData",
            "unit": "Unit",
            "actionsEnabled": "ActionsEnabled",
            "alarmActions": "AlarmActions",
            "okActions": "OKActions",
            "insufficientDataActions": "InsufficientDataActions",
            "tags": tag_list(),
        },
        outputs=("arn", "name"),
        create=_create_alarm,
    ),
    Kind(
        resource_type="aws:cloudwatch/compositeAlarm:CompositeAlarm",
        inputs={
            "alarmName": "AlarmName",
            "alarmRule": "AlarmRule",
            "alarmDescription": "AlarmDescription",
            "actionsEnabled": "ActionsEnabled",
            "alarmActions": "AlarmActions",
            "okActions": "OKActions",
            "insufficientDataActions": "InsufficientDataActions",
            "tags": tag_list(),
        },
        outputs=("arn",),
        create=_create_composite_alarm,
    ),
    Kind(
        resource_type="aws:cloudwatch/dashboard:Dashboard",
        inputs={"dashboardName": "DashboardName", "dashboardBody": "DashboardBody"},
        outputs=("dashboardArn",),
        create=_create_dashboard,
    ),
)
