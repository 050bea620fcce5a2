"""The permissions of the roles: they manage the resources of a stack and never read or change its data.

Resources are matched by the names that auto-naming gives them (`orderflow-<name>-<stack>-<six hex digits>`).
So the roles of one stack do not reach another stack in the same account. Keys, REST APIs and event source
mappings have generated ids. They are matched by tags, by ids in the configuration, or by their function.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.names import log_group_name, sampling_rule_name


@dataclass(frozen=True, kw_only=True)
class Target:
    """One stack in one account and region, and its state.

    Without `api_id` all REST APIs match that are not tagged as another stack's. `domain_name` and
    `hosted_zone_id` are those of the API's custom domain, or both empty.
    """

    stack: str
    partition: str
    region: str
    account: str
    state_bucket: str
    secrets_key_arn: str
    api_id: str = ""
    domain_name: str = ""
    hosted_zone_id: str = ""

    def arn(self, service: str, resource: str) -> str:
        """Returns the ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def iam_arn(self, resource: str) -> str:
        """Returns the ARN of a resource of IAM, which has no region."""
        return f"arn:{self.partition}:iam::{self.account}:{resource}"

    def named(self, service: str, before: str = "") -> str:
        """Returns the ARN of all resources that auto-naming names for this stack, after a prefix."""
        return self.arn(service, f"{before}orderflow-*-{self.stack}-??????")

    @property
    def layer(self) -> str:
        """The ARN of all versions of the layer, which the program names."""
        return self.arn("lambda", f"layer:orderflow-{self.stack}-dependencies*")

    @property
    def roles(self) -> str:
        """The ARN of the roles of the stack's functions, state machine and schedules."""
        return self.iam_arn(f"role/orderflow-*-{self.stack}-??????")

    @property
    def boundary(self) -> str:
        """The name of the permissions boundary of the stack's roles."""
        return f"orderflow-boundary-{self.stack}"

    @property
    def boundary_arn(self) -> str:
        """Its ARN, known before it exists."""
        return self.iam_arn(f"policy/{self.boundary}")

    @property
    def dashboard(self) -> str:
        """The ARN of the stack's dashboard, which has no region."""
        return f"arn:{self.partition}:cloudwatch::{self.account}:dashboard/orderflow-{self.stack}"

    @property
    def sampling_rule(self) -> str:
        """The ARN of the stack's sampling rule, which the program names."""
        return self.arn("xray", f"sampling-rule/{sampling_rule_name('orderflow', self.stack)}")

    @property
    def event_rules(self) -> str:
        """The ARN of the rules on the stack's event bus."""
        return f"{self.named('events', 'rule/')}/orderflow-*-{self.stack}-??????"

    @property
    def log_groups(self) -> list[str]:
        """The ARNs of the log groups of functions, state machine and API, and of the streams in them."""
        places = ("lambda", "vendedlogs/states", "apigateway")
        names = [log_group_name(place, "orderflow", self.stack, "*") for place in places]
        groups = [self.arn("logs", f"log-group:{name}") for name in names]
        return [*groups, *(f"{group}:*" for group in groups)]

    def gateway(self, *paths: str) -> list[str]:
        """Returns the ARNs of paths of API Gateway's own API."""
        return [f"arn:{self.partition}:apigateway:{self.region}::/{path}" for path in paths]

    @property
    def gateway_resources(self) -> list[str]:
        """The paths of the API, its keys, usage plans and domain name, and of everything below them."""
        named = [("restapis", self.api_id)] * bool(self.api_id)
        named += [("domainnames", self.domain_name)] * bool(self.domain_name)
        paths = [path for kind, name in named for path in (f"{kind}/{name}", f"{kind}/{name}/*")]
        return [*([] if self.api_id else ["restapis/*"]), *paths, "apikeys/*", "usageplans/*"]

    @property
    def gateway_collections(self) -> list[str]:
        """The paths at which the resources above are created. The API of `api_id` exists already."""
        kinds = {"restapis": not self.api_id, "domainnames": bool(self.domain_name)}
        return [kind for kind, creates in kinds.items() if creates] + ["apikeys", "usageplans"]

    @property
    def gateway_tags(self) -> list[str]:
        """The paths of the tags of the resources above, which hold encoded ARNs."""
        ids = [f"restapis*{self.api_id}*" if self.api_id else "restapis*", "apikeys*", "usageplans*"]
        ids += [f"domainnames*{self.domain_name}*"] * bool(self.domain_name)
        return [f"tags/*{path}" for path in ids]

    @property
    def stages(self) -> list[str]:
        """The ARNs of the API's stages."""
        return self.gateway(f"restapis/{self.api_id or '*'}/stages/*")


Statement = dict[str, Any]

# The services that may receive a role of the stack.
PASSED_TO: Final = ("lambda.amazonaws.com", "states.amazonaws.com", "scheduler.amazonaws.com")


def _document(statements: Sequence[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def _allow(
    service: str, actions: str, *resources: str, condition: dict[str, dict[str, Any]] | None = None
) -> Statement:
    """Returns a statement that allows these actions of a service on these resources."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions.split()],
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})


def _tagged(target: Target) -> dict[str, str]:
    """A condition for resources with the tags of the stack."""
    return {"aws:ResourceTag/project": "orderflow", "aws:ResourceTag/stack": target.stack}


def _requested_tags(target: Target) -> dict[str, str]:
    """A condition for requests that set the tags of the stack."""
    return {"aws:RequestTag/project": "orderflow", "aws:RequestTag/stack": target.stack}


def allow_reading(target: Target) -> str:
    """Returns the policy for reading the settings of the stack's resources, but not their data.

    Data are items, messages, secrets and log lines. One value is included: the settings of an API key
    contain the key.
    """
    function = target.named("lambda", "function:")
    return _document(
        [
            _allow("dynamodb", "Describe* ListTagsOfResource", target.named("dynamodb", "table/")),
            _allow("lambda", "Get* List*", function, f"{function}:*"),
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
            _allow("events", "DescribeRule ListTargetsByRule ListTagsForResource", target.event_rules),
            _allow("scheduler", "Get* ListTagsForResource", target.named("scheduler", "*/")),
            _allow("scheduler", "GetSchedule", target.named("scheduler", "schedule/") + "/*"),
            _allow("logs", "ListTagsForResource", *target.log_groups),
            _allow("cloudwatch", "ListTagsForResource", target.named("cloudwatch", "alarm:")),
            _allow(
                "cloudwatch",
                "GetDashboard",
                target.dashboard,
            ),
            _allow(
                "apigateway",
                "GET",
                *target.gateway(*target.gateway_resources, *target.gateway_tags),
                condition={"StringEqualsIfExists": _tagged(target)},
            ),
            _allow(
                "wafv2", "GetWebACL ListTagsForResource", target.named("wafv2", "regional/webacl/") + "/*"
            ),
            _allow("iam", "Get* List*", target.roles),
            _allow("xray", "ListTagsForResource", target.sampling_rule),
            # The provider calls it in a preview if the definition of the state machine changes.
            _allow("states", "ValidateStateMachineDefinition", "*"),
            # With reservedConcurrency, the program compares it with the quota of concurrent executions.
            _allow("servicequotas", "GetServiceQuota", target.arn("servicequotas", "lambda/L-B99A9384")),
            _allow("servicequotas", "GetAWSDefaultServiceQuota", "*"),
            # AWS has no narrower resource, or the provider calls them before the name exists.
            _allow("lambda", "GetEventSourceMapping ListTags", "*"),
            _allow("logs", "DescribeLogGroups", "*"),
            _allow("cloudwatch", "DescribeAlarms", "*"),
            _allow("wafv2", "GetWebACLForResource", "*"),
            _allow("xray", "GetSamplingRules", "*"),
            _allow("kms", "DescribeKey GetKey* ListResourceTags ListAliases", "*"),
            *_reading_domain(target),
        ]
    )


def _hosted_zone(target: Target) -> str:
    return f"arn:{target.partition}:route53:::hostedzone/{target.hosted_zone_id}"


def _reading_domain(target: Target) -> list[Statement]:
    if not target.domain_name:
        return []
    return [
        _allow("route53", "GetHostedZone ListResourceRecordSets", _hosted_zone(target)),
        _allow("route53", "GetChange", f"arn:{target.partition}:route53:::change/*"),
        _allow("acm", "DescribeCertificate ListTagsForCertificate", target.arn("acm", "certificate/*")),
    ]


def _changing_domain(target: Target) -> list[Statement]:
    """The record of the domain name, and the role that API Gateway creates for an account's first one."""
    if not target.domain_name:
        return []
    gateway = "ops.apigateway.amazonaws.com"
    return [
        _allow(
            "route53",
            "ChangeResourceRecordSets",
            _hosted_zone(target),
            condition={
                "ForAllValues:StringEquals": {
                    "route53:ChangeResourceRecordSetsNormalizedRecordNames": [target.domain_name],
                    "route53:ChangeResourceRecordSetsRecordTypes": ["A"],
                }
            },
        ),
        _allow(
            "iam",
            "CreateServiceLinkedRole",
            target.iam_arn(f"role/aws-service-role/{gateway}/AWSServiceRoleForAPIGateway"),
            condition={"StringEquals": {"iam:AWSServiceName": gateway}},
        ),
    ]


def allow_changing(target: Target) -> str:
    """Returns the policy for creating, changing and deleting the resources that the program declares."""
    function = target.named("lambda", "function:")
    tagged, requested = _tagged(target), _requested_tags(target)
    # A new key has no alias, and its tags may take minutes to take effect.
    new_key = {"Null": {"aws:ResourceTag/project": "true", "kms:ResourceAliases": "true"}}
    return _document(
        [
            _allow(
                "dynamodb",
                "CreateTable UpdateTable DeleteTable TagResource UntagResource UpdateContinuousBackups "
                "UpdateTimeToLive",
                target.named("dynamodb", "table/"),
            ),
            _allow(
                "lambda",
                "CreateFunction DeleteFunction UpdateFunctionCode UpdateFunctionConfiguration "
                "PutFunctionConcurrency DeleteFunctionConcurrency AddPermission RemovePermission "
                "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig "
                "DeleteFunctionEventInvokeConfig PublishVersion CreateAlias UpdateAlias DeleteAlias "
                "PutProvisionedConcurrencyConfig DeleteProvisionedConcurrencyConfig "
                "TagResource UntagResource",
                function,
                f"{function}:*",  # its versions and aliases
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
            _allow(
                "lambda",
                "TagResource UntagResource",
                target.arn("lambda", "event-source-mapping:*"),
                condition={"StringEqualsIfExists": tagged},
            ),
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
                "events",
                "PutRule DeleteRule PutTargets RemoveTargets TagResource UntagResource",
                target.event_rules,
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
            # For the logs of the state machine and the API's stage. Deliveries have no ARN.
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
                "POST",
                *target.gateway(*target.gateway_collections),
                condition={"StringEquals": requested},
            ),
            # Resources below an API, a usage plan and a domain name inherit its tags.
            _allow(
                "apigateway",
                "POST PUT PATCH DELETE",
                *target.gateway(*target.gateway_resources),
                condition={"StringEqualsIfExists": tagged},
            ),
            _allow(
                "apigateway",
                "POST PUT DELETE",
                *target.gateway(*target.gateway_tags),
                condition={"StringEqualsIfExists": requested},
            ),
            _allow("apigateway", "SetWebACL", *target.stages),
            _allow("wafv2", "AssociateWebACL DisassociateWebACL", *target.stages),
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
            # A key has a generated id. Its tags, set when it is created, make it one of the stack.
            _allow("kms", "CreateKey", "*", condition={"StringEquals": requested}),
            _allow("kms", "TagResource", "*", condition={"StringEquals": requested, **new_key}),
            _allow("kms", "EnableKeyRotation", "*", condition=new_key),
            _allow(
                "kms",
                "PutKeyPolicy EnableKeyRotation UpdateKeyDescription ScheduleKeyDeletion TagResource "
                "UntagResource",
                "*",
                condition={"StringEquals": tagged},
            ),
            {
                "Effect": "Deny",
                "Action": [
                    f"kms:{action}" for action in ("PutKeyPolicy", "ScheduleKeyDeletion", "TagResource")
                ],
                "Resource": [target.secrets_key_arn],
            },
            *_changing_domain(target),
            # All that gives a role permissions requires the boundary. So a new role cannot do more than the
            # stack's own, and the deploy role cannot change the boundary:
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


def bound_roles(target: Target, signing_secret_arn: str = "") -> str:
    """Returns the permissions boundary of the stack's functions, state machine and schedules.

    It grants nothing: the program grants each role its part. `signing_secret_arn` is the secret of the
    fulfillment system, if there is one.
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
            # AWS has no narrower resource (see components/workflow.py and components/queue.py).
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
    """Returns the ARNs of this stack's state in the bucket."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}/.pulumi"
    return [
        f"{bucket}/stacks/orderflow/{target.stack}.json*",
        # The stack's tags, in a separate file since CLI 3.211.
        f"{bucket}/stacks/orderflow/{target.stack}.pulumi-tags*",
        f"{bucket}/history/orderflow/{target.stack}/*",
        f"{bucket}/backups/orderflow/{target.stack}/*",
        f"{bucket}/locks/organization/orderflow/{target.stack}/*",
    ]


def allow_reading_state(target: Target) -> str:
    """Returns the policy for reading the state and its secrets. A preview takes no lock."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}"
    return _document(
        [
            _allow("s3", "ListBucket", bucket),
            _allow("s3", "GetObject", f"{bucket}/.pulumi/meta.yaml", *_state(target)),
            _allow("kms", "Decrypt", target.secrets_key_arn),
        ]
    )


def allow_writing_state(target: Target) -> str:
    """Returns the policy for reading and writing the state, its lock, history and backups."""
    bucket = f"arn:{target.partition}:s3:::{target.state_bucket}"
    return _document(
        [
            _allow("s3", "ListBucket", bucket),
            _allow("s3", "GetObject", f"{bucket}/.pulumi/meta.yaml"),
            _allow("s3", "GetObject PutObject DeleteObject", *_state(target)),
            _allow("kms", "Decrypt Encrypt GenerateDataKey", target.secrets_key_arn),
        ]
    )
