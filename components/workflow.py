"""A Step Functions state machine from an ASL file, with the role that invokes its tasks."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_aws as aws

from components import iam
from components.function import LambdaFunction
from components.iam import Grant, Grants
from components.names import log_group_name
from components.packaging import PROJECT_ROOT
from components.settings.workflow import WorkflowSettings

# The deliveries of a state machine's logs have no ARN. AWS documents exactly these actions on "*".
_LOG_DELIVERY: Final = {
    "Effect": "Allow",
    "Action": [
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
    ],
    "Resource": "*",
}

# Sampling rules belong to the account, and X-Ray has no narrower resource for them.
_XRAY_SAMPLING: Final = {
    "Effect": "Allow",
    "Action": ["xray:GetSamplingRules", "xray:GetSamplingTargets"],
    "Resource": "*",
}

# Only names in braces: JSONata's own `$states` and `$parse(...)` are not replaced.
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z][A-Za-z0-9]*)\}")


class DefinitionError(pulumi.RunError):
    """A state machine's file and its values do not match. The message is one sentence."""


def placeholders(definition: str) -> set[str]:
    """Returns the names that are written as `${name}` in an ASL text."""
    return set(_PLACEHOLDER.findall(definition))


def placeholder_of(function: str) -> str:
    """Returns the name under which an ASL text refers to a function: validate_order -> validateOrderArn."""
    first, *rest = function.split("_")
    return "".join([first, *(word.title() for word in rest), "Arn"])


def fill_in(definition: str, values: Mapping[str, str]) -> str:
    """Returns the ASL text with every `${name}` replaced, without insignificant white space.

    Raises DefinitionError for a name without a value, an unused value, and a text that is not JSON.
    """
    names = placeholders(definition)
    if unknown := names - values.keys():
        raise DefinitionError(f"The state machine uses ${{{min(unknown)}}}, which has no value.")
    if unused := values.keys() - names:
        raise DefinitionError(f"The state machine does not use ${{{min(unused)}}}.")
    filled = _PLACEHOLDER.sub(lambda match: values[match[1]], definition)
    try:
        return json.dumps(json.loads(filled), separators=(",", ":"), ensure_ascii=False)
    except ValueError as error:
        raise DefinitionError(f"The state machine is not valid JSON: {error}.") from error


class Workflow(pulumi.ComponentResource):
    """The state machine of the file `statemachines/<name>.asl.json`.

    It may invoke exactly `tasks`, and has exactly `grants` besides. The file refers to the tasks' ARNs by
    `placeholder_of` their names, to the partition by `${partition}`, and to other `values` by their names.
    """

    arn: pulumi.Output[str]
    type: str
    tasks: Sequence[LambdaFunction]

    def __init__(
        self,
        name: str,
        *,
        tasks: Sequence[LambdaFunction],
        values: Mapping[str, pulumi.Input[str]],
        grants: Grants,
        settings: WorkflowSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:workflow:Workflow", name, None, opts)
        self._name = name
        self.type = settings.type
        self.tasks = tasks
        child = pulumi.ResourceOptions(parent=self)
        text = (PROJECT_ROOT / "statemachines" / f"{name}.asl.json").read_text("utf-8")
        # Checked before any resource is declared, and in a preview, where the ARNs are unknown.
        values = {**values, **{placeholder_of(task.name): task.arn for task in tasks}}
        fill_in(text, dict.fromkeys(["partition", *values], "checked"))

        partition = aws.get_partition_output().partition
        account = aws.get_caller_identity_output().account_id
        region = aws.get_region_output().region
        role = aws.iam.Role(
            f"{name}-role",
            description=f"Permissions of the state machine {name}",
            # Against the confused deputy: only for state machines of this name in this stack. The exact ARN,
            # which auto-naming ends in six digits, is unknown before the machine exists, and the machine
            # cannot exist without its role.
            assume_role_policy=iam.trust(
                "states.amazonaws.com",
                {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {
                        "aws:SourceArn": pulumi.Output.format(
                            "arn:{0}:states:{1}:{2}:stateMachine:{3}-{4}-{5}-*",
                            partition,
                            region,
                            account,
                            pulumi.get_project(),
                            name,
                            pulumi.get_stack(),
                        )
                    },
                },
            ),
            opts=child,
        )
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            # Under this prefix AWS grants the delivery, so no resource policy can exceed its size limit.
            name=log_group_name("vendedlogs/states", pulumi.get_project(), pulumi.get_stack(), name),
            retention_in_days=settings.log_retention_days,
            opts=child,
        )
        policies = [
            aws.iam.RolePolicy(
                f"{name}-invokes-tasks",
                role=role.name,
                policy=iam.policy(iam.allow(["lambda:InvokeFunction"], [task.arn for task in tasks])),
                opts=child,
            ),
            aws.iam.RolePolicy(
                f"{name}-telemetry",
                role=role.name,
                policy=iam.policy(_LOG_DELIVERY, iam.XRAY_WRITE, _XRAY_SAMPLING),
                opts=child,
            ),
            *(
                aws.iam.RolePolicy(
                    f"{name}-{grant.purpose}", role=role.name, policy=grant.policy(), opts=child
                )
                for grant in grants
            ),
        ]
        machine = aws.sfn.StateMachine(
            name,
            type=settings.type,
            role_arn=role.arn,
            definition=pulumi.Output.all(partition=partition, **values).apply(
                lambda known: fill_in(text, known)
            ),
            logging_configuration=aws.sfn.StateMachineLoggingConfigurationArgs(
                level=settings.log_level,
                include_execution_data=settings.log_level == "ALL",
                log_destination=pulumi.Output.concat(log_group.arn, ":*"),
            ),
            tracing_configuration=aws.sfn.StateMachineTracingConfigurationArgs(enabled=True),
            opts=pulumi.ResourceOptions(
                parent=self,
                # AWS checks the role when the machine is created.
                depends_on=policies,
            ),
        )
        self.arn = machine.arn
        self.register_outputs({"arn": self.arn})

    def grant_start(self) -> Grant:
        """Returns the permission to start executions."""
        return Grant(purpose=f"starts-{self._name}", actions=["states:StartExecution"], resources=[self.arn])

    def grant_describe(self) -> Sequence[Grant]:
        """Returns the permission to describe executions.

        EXPRESS executions cannot be described, so there is none.
        """
        if self.type != "STANDARD":
            return ()
        # The ARN of an execution ends in its name, which is not known here. All executions of this machine
        # are the narrowest that AWS offers.
        executions = self.arn.apply(lambda arn: arn.replace(":stateMachine:", ":execution:", 1) + ":*")
        return [
            Grant(
                purpose=f"describes-{self._name}",
                actions=["states:DescribeExecution"],
                resources=[executions],
            )
        ]
