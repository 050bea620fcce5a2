"""A Lambda function with a role and a log group of its own."""

import os
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components import iam, packaging
from components.layer import DependencyLayer
from components.names import log_group_name
from components.settings.functions import FunctionSettings


def metrics_namespace() -> str:
    """Where CloudWatch keeps what the functions measure: by stack, for an account may hold several."""
    return f"{pulumi.get_project()}/{pulumi.get_stack()}"


class LambdaFunction(pulumi.ComponentResource):
    """The function whose code is in `functions/<name>/`; it may only log and trace until it is granted more.

    `timeout` is in seconds. `policies` are the permissions it has so far: whatever is going to call the
    function depends on them, so that not even the first call is denied.
    """

    name: str
    physical_name: pulumi.Output[str]
    timeout: int
    memory_mb: int
    arn: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    policies: list[aws.iam.RolePolicy]

    def __init__(
        self,
        name: str,
        *,
        timeout: int,
        environment: Mapping[str, pulumi.Input[str]],
        layer: DependencyLayer,
        settings: FunctionSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:compute:LambdaFunction", name, None, opts)
        self.name = name
        self.timeout = timeout
        self.memory_mb = settings.memory_mb
        self._role = aws.iam.Role(
            f"{name}-role",
            description=f"What the function {name} may do",
            assume_role_policy=iam.trust("lambda.amazonaws.com"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Declared, because a group that Lambda makes by itself keeps its logs for ever and is never deleted.
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=log_group_name("lambda", pulumi.get_project(), pulumi.get_stack(), name),
            retention_in_days=settings.log_retention_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        telemetry = aws.iam.RolePolicy(
            f"{name}-telemetry",
            role=self._role.name,
            policy=iam.policy(
                # Lambda names the streams itself, so all streams of this one group is the narrowest there is.
                iam.allow(
                    ["logs:CreateLogStream", "logs:PutLogEvents"], [pulumi.Output.concat(log_group.arn, ":*")]
                ),
                iam.XRAY_WRITE,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.policies = [telemetry]
        function = aws.lambda_.Function(
            name,
            runtime=packaging.RUNTIME,
            architectures=[packaging.ARCHITECTURE],
            handler=f"functions.{name}.handler.lambda_handler",
            code=_archive(name),
            layers=[layer.arn],
            role=self._role.arn,
            timeout=timeout,
            memory_size=settings.memory_mb,
            reserved_concurrent_executions=settings.reserved_concurrency.get(name),
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={
                    "POWERTOOLS_SERVICE_NAME": name,
                    "POWERTOOLS_METRICS_NAMESPACE": metrics_namespace(),
                    "POWERTOOLS_LOG_LEVEL": settings.log_level,
                    **environment,
                }
            ),
            logging_config=aws.lambda_.FunctionLoggingConfigArgs(
                # Powertools writes JSON, which Lambda passes on as it is; with JSON its own lines become
                # queryable too. The metrics are log lines without a level (embedded metric format), which
                # Lambda takes for INFO and would drop above it. `functions/shared/` applies the stack's
                # level to our lines, and keeps libraries at WARNING: at DEBUG, botocore logs secrets.
                log_format="JSON",
                application_log_level="DEBUG" if settings.log_level == "DEBUG" else "INFO",
                system_log_level=settings.system_log_level,
                log_group=log_group.name,
            ),
            tracing_config=aws.lambda_.FunctionTracingConfigArgs(mode="Active"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[telemetry]),
        )
        self.physical_name = function.name
        self.arn = function.arn
        self.invoke_arn = function.invoke_arn
        self.register_outputs({"arn": self.arn})

    def allow(self, purpose: str, actions: Sequence[str], resources: Sequence[pulumi.Input[str]]) -> None:
        """Let the function do exactly `actions` on exactly `resources`; the grant methods call this.

        `purpose` names the policy, as in `orders_api-reads-orders`.
        """
        policy = aws.iam.RolePolicy(
            f"{self.name}-{purpose}",
            role=self._role.name,
            policy=iam.policy(iam.allow(actions, resources)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.policies.append(policy)


def _archive(name: str) -> pulumi.AssetArchive:
    try:
        files = packaging.function_files(name)
    except packaging.PackagingError as error:
        raise pulumi.RunError(str(error)) from error
    return pulumi.AssetArchive(
        {
            inside: pulumi.FileAsset(os.path.relpath(path, packaging.PROJECT_ROOT))
            for inside, path in files.items()
        }
    )
