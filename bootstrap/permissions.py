"""What the roles may do: manage what a stack declares, and never touch the data in it.

Resources are named by the pattern that auto-naming gives them (`orderflow-<name>-<stack>-<six hex digits>`),
so the roles of one stack cannot touch another's in the same account. API Gateway and event source mappings
have drawn ids instead of names: there the region, or the function behind it, is the narrowest that AWS
offers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.names import log_group_name, sampling_rule_name


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack in one account and region, and where its state is kept."""

    stack: str
    partition: str
    region: str
    account: str
    state_bucket: str
    secrets_key_arn: str

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam_arn(self, resource: str) -> str:
        """The ARN of a resource of IAM, which has no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def named(self, service: str, before: str = "") -> str:
        """The ARN of all that auto-naming named for this stack, after a prefix such as `table/`."""
        return self.arn(service, f"{before}orderflow-*-{self.stack}-??????")

    @property
    def layer(self) -> str:
        """The ARN of the layer, of whichever version, which the program names itself."""
        return self.arn("lambda", f"layer:orderflow-{self.stack}-dependencies*")

    @property
    def roles(self) -> str:
        """The ARN of the roles of the stack's functions, state machine and schedules."""
        return self.iam_arn(f"role/orderflow-*-{self.stack}-??????")

    @property
    def boundary(self) -> str:
        """The name of the policy that no role of the stack reaches beyond."""
        return f"orderflow-boundary-{self.stack}"

    @property
    def boundary_arn(self) -> str:
        """Its ARN, known before it is made."""
        return self.iam_arn(f"policy/{self.boundary}")

    @property
    def dashboard(self) -> str:
        """The ARN of the stack's dashboard, which has no region."""
        return f"arn:{self.partition}:cloudwatch::{self.account}:dashboard/orderflow-{self.stack}"

    @property
    def sampling_rule(self) -> str:
        """The ARN of the stack's sampling rule, which the program names itself."""
        return self.arn("xray", f"sampling-rule/{sampling_rule_name('orderflow', self.stack)}")

    @property
    def log_groups(self) -> list[str]:
        """The ARNs of the log groups of functions, state machine and API, and of the streams in them."""
        places = ("lambda", "vendedlogs/states", "apigateway")
        names = [log_group_name(place, "orderflow", self.stack, "*") for place in places]
        groups = [self.arn("logs", f"log-group:{name}") for name in names]
        return [*groups, *(f"{group}:*" for group in groups)]


Statement = dict[str, Any]

# May be handed a role of the stack; so no role can be given to anything else, such as a server.
PASSED_TO: Final = ("lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com")


def _document(statements: Sequence[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def _allow(
    service: str, actions: str, *resources: str, condition: dict[str, dict[str, Any]] | None = None
) -> Statement:
    """Allows the actions (words, of one service) on the resources."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions.split()],
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})


def can_look(target: Target) -> str:
    """Reading how the stack's resources are set up, which previews, refreshes and updates do.

    Not what is in them: no item, no message, no secret, no log line. The exception is API Gateway, where
    reading a key's settings shows its value.
    """
    gateway = f"arn:{target.partition}:apigateway:{target.region}::/*"
    return _document(
        [
            _allow("dynamodb", "Describe* ListTagsOfResource", target.named("dynamodb", "table/")),
            _allow("lambda", "Get* List*", target.named("lambda", "function:")),
            _allow("lambda", "GetLayerVersion", target.layer),
            _allow("sqs", "GetQueueAttributes GetQueueUrl ListQueueTags", target.named("sqs")),
            _allow(
                "sns",
                "Get* ListSubscriptionsByTopic ListTagsForResource",
                target.named("sns"),
                target.named("sns") + ":*",
            ),
            _allow(
                "states",
                "DescribeStateMachine ListStateMachineVersions ListTagsForResource",
                target.named("states", "stateMachine:"),
            ),
            _allow("events", "DescribeEventBus ListTagsForResource", target.named("events", "event-bus/")),
            _allow("scheduler", "Get* ListTagsForResource", target.named("scheduler", "*/")),
            _allow("scheduler", "GetSchedule", target.named("scheduler", "schedule/") + "/*"),
            _allow("logs", "ListTagsForResource", *target.log_groups),
            _allow("cloudwatch", "ListTagsForResource", target.named("cloudwatch", "alarm:")),
            _allow(
                "cloudwatch",
                "GetDashboard",
                target.dashboard,
            ),
            _allow("apigateway", "GET", gateway),
            _allow(
                "wafv2", "GetWebACL ListTagsForResource", target.named("wafv2", "regional/webacl/") + "/*"
            ),
            _allow("iam", "Get* List*", target.roles),
            _allow("xray", "ListTagsForResource", target.sampling_rule),
            # Asked in a preview too, when the definition of the state machine changes.
            _allow("states", "ValidateStateMachineDefinition", "*"),
            # These have nothing narrower, or are asked before there is a name.
            _allow("lambda", "GetEventSourceMapping ListTags", "*"),
            _allow("logs", "DescribeLogGroups", "*"),
            _allow("cloudwatch", "DescribeAlarms", "*"),
            _allow("wafv2", "GetWebACLForResource", "*"),
            _allow("xray", "GetSamplingRules", "*"),
            _allow("kms", "DescribeKey GetKey* ListResourceTags ListAliases", "*"),
            _allow("route53", "GetHostedZone GetChange ListResourceRecordSets", "*"),
            _allow("acm", "DescribeCertificate ListTagsForCertificate", "*"),
        ]
    )


def can_change(target: Target) -> str:
    """Making, changing and deleting what the program declares."""
    gateway = f"arn:{target.partition}:apigateway:{target.region}::/"
    function = target.named("lambda", "function:")
    tagged = {"aws:ResourceTag/project": "orderflow", "aws:ResourceTag/stack": target.stack}
    asked = {"aws:RequestTag/project": "orderflow", "aws:RequestTag/stack": target.stack}
    return _document(
        [
            _allow(
                "dynamodb",
                "CreateTable UpdateTable DeleteTable TagResource UntagResource UpdateContinuousBackups",
                target.named("dynamodb", "table/"),
            ),
            _allow(
                "lambda",
                "CreateFunction DeleteFunction UpdateFunctionCode UpdateFunctionConfiguration "
                "PutFunctionConcurrency DeleteFunctionConcurrency AddPermission RemovePermission "
                "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig "
                "DeleteFunctionEventInvokeConfig "
                "TagResource UntagResource",
                function,
            ),
            _allow(
                "lambda",
                "PublishLayerVersion DeleteLayerVersion",
                target.layer,
            ),
            _allow(
                "lambda",
                "CreateEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping",
                "*",
                condition={"ArnLike": {"lambda:FunctionArn": function}},
            ),
            _allow("lambda", "TagResource UntagResource", target.arn("lambda", "event-source-mapping:*")),
            _allow(
                "sqs", "CreateQueue DeleteQueue SetQueueAttributes TagQueue UntagQueue", target.named("sqs")
            ),
            _allow(
                "sns",
                "CreateTopic DeleteTopic SetTopicAttributes Subscribe TagResource UntagResource",
                target.named("sns"),
            ),
            _allow(
                "sns",
                "Unsubscribe SetSubscriptionAttributes",
                target.named("sns"),
                target.named("sns") + ":*",
            ),
            _allow(
                "states",
                "CreateStateMachine UpdateStateMachine DeleteStateMachine TagResource UntagResource",
                target.named("states", "stateMachine:"),
            ),
            _allow(
                "events",
                "CreateEventBus UpdateEventBus DeleteEventBus TagResource UntagResource",
                target.named("events", "event-bus/"),
            ),
            _allow(
                "scheduler",
                "CreateScheduleGroup DeleteScheduleGroup TagResource UntagResource",
                target.named("scheduler", "schedule-group/"),
            ),
            _allow(
                "scheduler",
                "CreateSchedule UpdateSchedule DeleteSchedule",
                target.named("scheduler", "schedule/") + "/*",
            ),
            _allow(
                "logs",
                "CreateLogGroup DeleteLogGroup PutRetentionPolicy DeleteRetentionPolicy "
                "TagResource UntagResource",
                *target.log_groups,
            ),
            # For the logs of the state machine and of the API's stage; deliveries have no ARN.
            _allow(
                "logs",
                "CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries "
                "PutResourcePolicy DescribeResourcePolicies",
                "*",
            ),
            _allow(
                "cloudwatch",
                "PutMetricAlarm DeleteAlarms TagResource UntagResource",
                target.named("cloudwatch", "alarm:"),
            ),
            _allow(
                "cloudwatch",
                "PutDashboard DeleteDashboards",
                target.dashboard,
            ),
            _allow(
                "apigateway",
                "POST PUT PATCH DELETE",
                *(
                    gateway + path
                    for path in ("restapis*", "apikeys*", "usageplans*", "domainnames*", "tags/*")
                ),
            ),
            _allow("apigateway", "SetWebACL", f"{gateway}restapis/*/stages/*"),
            _allow("wafv2", "AssociateWebACL DisassociateWebACL", f"{gateway}restapis/*/stages/*"),
            _allow(
                "wafv2",
                "CreateWebACL UpdateWebACL DeleteWebACL AssociateWebACL TagResource UntagResource",
                target.named("wafv2", "regional/webacl/") + "/*",
                target.arn("wafv2", "regional/managedruleset/*"),
            ),
            _allow(
                "xray",
                "CreateSamplingRule UpdateSamplingRule DeleteSamplingRule TagResource UntagResource",
                target.sampling_rule,
            ),
            # A key has a drawn id: it is the stack's by its tags, which are given when it is made and can be
            # given to no key that belongs to a project. The key of the state's secrets is nobody's to change.
            _allow("kms", "CreateKey", "*", condition={"StringEquals": asked}),
            _allow(
                "kms",
                "TagResource",
                "*",
                condition={"StringEquals": asked, "Null": {"aws:ResourceTag/project": "true"}},
            ),
            _allow(
                "kms",
                "PutKeyPolicy UpdateKeyDescription ScheduleKeyDeletion TagResource UntagResource",
                "*",
                condition={"StringEquals": tagged},
            ),
            # Right after the key is made, when AWS may not have heard of its tags yet; harmless to any key.
            _allow("kms", "EnableKeyRotation", "*"),
            {
                "Effect": "Deny",
                "Action": [
                    f"kms:{action}" for action in ("PutKeyPolicy", "ScheduleKeyDeletion", "TagResource")
                ],
                "Resource": [target.secrets_key_arn],
            },
            _allow(
                "route53",
                "ChangeResourceRecordSets",
                f"arn:{target.partition}:route53:::hostedzone/*",
            ),
            # API Gateway makes this role for itself when the account's first custom domain is made.
            _allow(
                "iam",
                "CreateServiceLinkedRole",
                target.iam_arn(
                    "role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
                ),
                condition={"StringEquals": {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}},
            ),
            # Whatever gives a role rights, only while the boundary holds it. So no role can be made that does
            # more than the stack's own, and the boundary itself is out of reach:
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
            _allow(
                "iam",
                "CreateRole PutRolePolicy DeleteRolePolicy PutRolePermissionsBoundary",
                target.roles,
                condition={"StringEquals": {"iam:PermissionsBoundary": target.boundary_arn}},
            ),
            _allow(
                "iam",
                "DeleteRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy TagRole UntagRole",
                target.roles,
            ),
            _allow(
                "iam",
                "PassRole",
                target.roles,
                condition={"StringEquals": {"iam:PassedToService": list(PASSED_TO)}},
            ),
        ]
    )


def can_at_most(target: Target, signing_secret_arn: str = "") -> str:
    """The boundary of the stack's roles: all that functions, state machine and schedules do, on all that is
    the stack's. What one role may do of it, the program says; nothing here gives a right by itself.

    `signing_secret_arn` is the secret of a fulfillment system outside, if there is one.
    """
    secrets = [_allow("secretsmanager", "GetSecretValue", signing_secret_arn)] if signing_secret_arn else []
    return _document(
        [
            _allow(
                "dynamodb",
                "GetItem BatchGetItem Query Scan PutItem UpdateItem DeleteItem",
                target.named("dynamodb", "table/"),
                target.named("dynamodb", "table/") + "/index/*",
            ),
            _allow("sqs", "SendMessage ReceiveMessage DeleteMessage GetQueueAttributes", target.named("sqs")),
            _allow("events", "PutEvents", target.named("events", "event-bus/")),
            _allow("states", "StartExecution", target.named("states", "stateMachine:")),
            _allow("states", "DescribeExecution", target.named("states", "execution:") + ":*"),
            _allow("lambda", "InvokeFunction", target.named("lambda", "function:")),
            _allow("logs", "CreateLogStream PutLogEvents", *target.log_groups),
            *secrets,
            # These have nothing narrower (components/workflow.py and components/queue.py say why).
            _allow(
                "logs",
                "CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies "
                "GetLogDelivery ListLogDeliveries PutResourcePolicy UpdateLogDelivery",
                "*",
            ),
            _allow("xray", "PutTelemetryRecords PutTraceSegments GetSamplingRules GetSamplingTargets", "*"),
            _allow("cloudwatch", "GetMetricStatistics", "*"),
        ]
    )


def _state(target: Target) -> list[str]:
    """Where the state of this stack lies, and nobody else's in the same bucket."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}/.pulumi"
    return [
        f"{bucket}/stacks/orderflow/{target.stack}.json*",
        # The stack's tags, a file of its own since CLI 3.211.
        f"{bucket}/stacks/orderflow/{target.stack}.pulumi-tags*",
        f"{bucket}/history/orderflow/{target.stack}/*",
        f"{bucket}/backups/orderflow/{target.stack}/*",
        f"{bucket}/locks/organization/orderflow/{target.stack}/*",
    ]


def can_read_state(target: Target) -> str:
    """Reading the state and the secrets in it: a preview takes no lock and writes nothing."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}"
    return _document(
        [
            _allow("s3", "ListBucket", bucket),
            _allow("s3", "GetObject", f"{bucket}/.pulumi/meta.yaml", *_state(target)),
            _allow("kms", "Decrypt", target.secrets_key_arn),
        ]
    )


def can_write_state(target: Target) -> str:
    """Reading and writing the state, with its lock, its history and its backups."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}"
    return _document(
        [
            _allow("s3", "ListBucket", bucket),
            _allow("s3", "GetObject", f"{bucket}/.pulumi/meta.yaml"),
            _allow("s3", "GetObject PutObject DeleteObject", *_state(target)),
            _allow("kms", "Decrypt Encrypt GenerateDataKey", target.secrets_key_arn),
        ]
    )
