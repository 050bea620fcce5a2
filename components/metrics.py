"""CloudWatch metrics by what they tell about, named once for the alarms and the dashboard."""

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
    """One time series, and what becomes of the values in a period: their sum, say, or a percentile (p99)."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Sum"

    def by(self, statistic: str) -> "Metric":
        """The same series under another statistic."""
        return replace(self, statistic=statistic)


def of_api(api: RestApi, name: str) -> Metric:
    """A metric of the API's one stage."""
    return Metric(
        namespace="AWS/ApiGateway", name=name, dimensions={"ApiName": api.name, "Stage": api.stage_name}
    )


def of_function(function: LambdaFunction, name: str) -> Metric:
    """A metric that Lambda has of a function."""
    return Metric(namespace="AWS/Lambda", name=name, dimensions={"FunctionName": function.physical_name})


def from_code(function: str, name: str) -> Metric:
    """A metric that a function's own code emits (`functions.shared.observability.emit`)."""
    return Metric(namespace=metrics_namespace(), name=name, dimensions={"service": function})


def from_code_by(dimension: str, name: str, statistic: str = "Sum") -> str:
    """All series of a metric that the code emits with a dimension of its own, as a search expression."""
    schema = f'{{"{metrics_namespace()}",{",".join(sorted([dimension, "service"]))}}}'
    return f"SEARCH('{schema} MetricName=\"{name}\"', '{statistic}')"


def of_queue(queue: Queue, name: str) -> Metric:
    """A metric of a queue."""
    return Metric(namespace="AWS/SQS", name=name, dimensions={"QueueName": queue.name})


def of_dead_letters(queue: Queue, name: str) -> Metric:
    """A metric of a queue's dead-letter queue."""
    return Metric(namespace="AWS/SQS", name=name, dimensions={"QueueName": queue.dead_letter_name})


def of_workflow(workflow: Workflow, name: str) -> Metric:
    """A metric of a state machine's executions."""
    return Metric(namespace="AWS/States", name=name, dimensions={"StateMachineArn": workflow.arn})


def of_table(table: Table, name: str) -> list[Metric]:
    """A metric of a table and of each of its indexes, which DynamoDB counts apart."""
    own = Metric(namespace="AWS/DynamoDB", name=name, dimensions={"TableName": table.name})
    return [
        own,
        *(
            replace(own, dimensions={**own.dimensions, "GlobalSecondaryIndexName": index})
            for index in table.index_names
        ),
    ]


def of_table_over_operations(table: Table, name: str) -> pulumi.Output[str]:
    """The sum of a metric that DynamoDB counts for each operation apart, as a Metrics Insights query."""
    return pulumi.Output.format(
        "SELECT SUM({0}) FROM SCHEMA(\"AWS/DynamoDB\", Operation, TableName) WHERE TableName = '{1}'",
        name,
        table.name,
    )
