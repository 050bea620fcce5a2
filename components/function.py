"""A Lambda function with its own role and log group."""

import os
from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_aws as aws

from components import iam, packaging
from components.layer import DependencyLayer
from components.names import log_group_name
from components.settings.functions import FunctionSettings

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
UNRESERVED: Final = 100

Environment = Mapping[str, pulumi.Input[str]]


def metrics_namespace() -> str:
    """Returns the namespace of the functions' own metrics: one per stack."""
    return f"{pulumi.get_project()}/{pulumi.get_stack()}"


class LambdaFunction(pulumi.ComponentResource):
    """The function of the folder `functions/<name>/`. It may log, trace, and do what `grants` allow.

    `timeout` is in seconds. The function depends on all its policies: on an update, new code would otherwise
    run before its permission exists. Therefore grants are arguments, and none can be added later.
    """

    name: str
    physical_name: pulumi.Output[str]
    timeout: int
    memory_mb: int
    arn: pulumi.Output[str]
    version: pulumi.Output[str]
    # What the API calls: the function as it is, or the alias of a published version.
    invoke_arn: pulumi.Output[str]
    qualifier: pulumi.Output[str] | None

    def __init__(
        self,
        name: str,
        *,
        timeout: int,
        environment: Environment,
        layer: DependencyLayer,
        settings: FunctionSettings,
        grants: iam.Grants = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:compute:LambdaFunction", name, None, opts)
        self.name = name
        self.timeout = timeout
        self.memory_mb = settings.memory_mb
        role = aws.iam.Role(
            f"{name}-role",
            description=f"Permissions of the function {name}",
            assume_role_policy=iam.trust("lambda.amazonaws.com"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Declared, because Lambda creates a group without retention, and nothing deletes it.
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=log_group_name("lambda", pulumi.get_project(), pulumi.get_stack(), name),
            retention_in_days=settings.log_retention_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        telemetry = iam.policy(
            # Lambda names the streams, so all streams of this group are the narrowest resource.
            iam.allow(
                ["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(log_group.arn, ":*")]
            ),
            iam.XRAY_WRITE,
        )
        documents = [
            ("telemetry", telemetry),
            *((grant.purpose, grant.policy()) for grant in grants),
        ]
        policies = [
            aws.iam.RolePolicy(
                f"{name}-{purpose}",
                role=role.name,
                policy=document,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for purpose, document in documents
        ]
        function = aws.lambda_.Function(
            name,
            runtime=packaging.RUNTIME,
            architectures=[packaging.ARCHITECTURE],
            handler=f"functions.{name}.handler.lambda_handler",
            code=_archive(name),
            layers=[layer.arn],
            role=role.arn,
            timeout=timeout,
            memory_size=settings.memory_mb,
            reserved_concurrent_executions=_reserved_concurrency(name, settings),
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={
                    "POWERTOOLS_SERVICE_NAME": name,
                    "POWERTOOLS_METRICS_NAMESPACE": metrics_namespace(),
                    "POWERTOOLS_LOG_LEVEL": settings.log_level,
                    **environment,
                }
            ),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(
                # Powertools writes JSON, which Lambda passes on unchanged. With JSON, Lambda's own lines are
                # queryable too. Metrics are log lines without a level (embedded metric format): Lambda treats
                # them as INFO, and drops them above it. `functions/shared/` applies the stack's level to the
                # functions' lines, and keeps libraries at WARNING: at DEBUG, botocore logs secrets.
                log_format="JSON",
                application_log_level="DEBUG" if settings.log_level == "DEBUG" else "INFO",
                system_log_level=settings.system_log_level,
                log_group=log_group.name,
            ),
            tracing_config=aws.lambda_.FunctionTracingConfigArgs(mode="Active"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=policies),
        )
        self.physical_name = function.name
        self.arn = function.arn
        self.version = function.version
        self.invoke_arn = function.invoke_arn
        self.qualifier = None
        self.register_outputs({"arn": self.arn})


def _reserved_concurrency(name: str, settings: FunctionSettings) -> pulumi.Input[int] | None:
    """Returns the function's reserved concurrency, if the account's quota allows it, or None."""
    reserved = settings.reserved_concurrency.get(name)
    if reserved is None:
        return None
    total = sum(settings.reserved_concurrency.values())

    def check(quota: float) -> int:
        if total > quota - UNRESERVED:
            raise pulumi.RunError(
                f"reservedConcurrency: {total} in all is too high. Reserve at most "
                f"{max(0, quota - UNRESERVED):g}: the account's quota is {quota:g}, and Lambda keeps "
                f"{UNRESERVED} unreserved. Or request a higher quota (Service Quotas, Concurrent executions)."
            )
        return reserved

    quota = aws.servicequotas.get_service_quota_output(service_code="lambda", quota_code="L-B99A9384")
    return quota.value.apply(check)


def _archive(name: str) -> pulumi.AssetArchive:
    try:
        files = packaging.archive_files(name)
    except packaging.PackagingError as error:
        raise pulumi.RunError(str(error)) from error
    return pulumi.AssetArchive(
        {
            inside: pulumi.FileAsset(os.path.relpath(path, packaging.PROJECT_ROOT))
            for inside, path in files.items()
        }
    )
