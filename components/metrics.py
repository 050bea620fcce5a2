"""CloudWatch metrics by their source, for the alarms and the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi

from components.function import LambdaFunction, metrics_namespace
from components.queue import Queue
from components.rest_api import RestApi
from components.schedule import Schedule
from components.table import Table
from components.workflow import Workflow


@dataclass(frozen=True, kw_only=True)
class MonitoredParts:
    """The parts of the stack that are monitored."""

    api: RestApi
    queue: Queue
    workflow: Workflow
    functions: Sequence[LambdaFunction]
    tables: Mapping[str, Table]
    requeue: Schedule


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One time series, and its statistic in a period, such as a sum or a percentile (p99)."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Sum"

    def by(self, statistic: str) -> "Metric":
        """Returns the same series with another statistic."""
        return replace(self, statistic=statistic)


def of_api(api: RestApi, name: str) -> Metric:
    """Returns a metric of the API's stage."""
    return Metric(
        namespace="AWS/ApiGateway", name=name, dimensions={"ApiName": api.name, "Stage": api.stage_name}
    )


def of_function(function: LambdaFunction, name: str) -> Metric:
    """Returns a metric of a function, from Lambda."""
    return Metric(namespace="AWS/Lambda", name=name, dimensions={"FunctionName": function.physical_name})


def from_code(function: str, name: str) -> Metric:
    """Returns a metric that a function's own code emits (`functions.shared.observability.emit`)."""
    return Metric(namespace=metrics_namespace(), name=name, dimensions={"service": function})


def from_code_by(dimension: str, name: str, statistic: str = "Sum") -> str:
    """Returns all series of a metric of the code, as a search expression.

    They have the dimension `service`, which is the function, and the given one.
    """
    schema = f'{{"{metrics_namespace()}",{",".join(sorted({dimension, "service"}))}}}'
    return f"SEARCH('{schema} MetricName=\"{name}\"', '{statistic}')"


def of_queue(queue: Queue, name: str) -> Metric:
    """Returns a metric of a queue."""
    return Metric(namespace="AWS/SQS", name=name, dimensions={"QueueName": queue.name})


def of_dead_letters(queue: Queue, name: str) -> Metric:
    """Returns a metric of a queue's dead-letter queue."""
    return Metric(namespace="AWS/SQS", name=name, dimensions={"QueueName": queue.dead_letter_name})


def of_workflow(workflow: Workflow, name: str) -> Metric:
    """Returns a metric of a state machine's executions."""
    return Metric(namespace="AWS/States", name=name, dimensions={"StateMachineArn": workflow.arn})


def of_table(table: Table, name: str) -> list[Metric]:
    """Returns a metric of a table and of each of its indexes, which DynamoDB counts separately."""
    own = Metric(namespace="AWS/DynamoDB", name=name, dimensions={"TableName": table.name})
    return [
        own,
        *(
            replace(own, dimensions={**own.dimensions, "GlobalSecondaryIndexName": index})
            for index in table.index_names
        ),
    ]


def of_table_over_operations(table: Table, name: str) -> pulumi.Output[str]:
    """Returns the sum of a metric over all operations on a table, as a Metrics Insights query."""
    return pulumi.Output.format(
        "SELECT SUM({0}) FROM SCHEMA(\"AWS/DynamoDB\", Operation, TableName) WHERE TableName = '{1}'",
        name,
        table.name,
    )
