"""The types of resources that a stack may declare, and the rule that refuses all others.

A type that no rule covers could be a way around the rules. Examples are a second API without keys, a
CloudFormation stack, and a user with access keys.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pulumi_policy import Policy, ResourceValidationArgs

from policy.resources import PROJECT
from policy.rule import resource_rule

# The pack runs without the AWS SDK. A test compares the two lists with it.
TAGGED: Final = frozenset(
    {
        "aws:apigateway/apiKey:ApiKey",
        "aws:apigateway/domainName:DomainName",
        "aws:apigateway/restApi:RestApi",
        "aws:apigateway/stage:Stage",
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/eventBus:EventBus",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:dynamodb/table:Table",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:kms/key:Key",
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        "aws:lambda/function:Function",
        "aws:scheduler/scheduleGroup:ScheduleGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sfn/stateMachine:StateMachine",
        "aws:sns/topic:Topic",
        "aws:sqs/queue:Queue",
        "aws:wafv2/webAcl:WebAcl",
        "aws:xray/samplingRule:SamplingRule",
    }
)
UNTAGGED: Final = frozenset(
    {
        "aws:apigateway/basePathMapping:BasePathMapping",
        "aws:apigateway/deployment:Deployment",
        "aws:apigateway/integration:Integration",
        "aws:apigateway/integrationResponse:IntegrationResponse",
        "aws:apigateway/method:Method",
        "aws:apigateway/methodResponse:MethodResponse",
        "aws:apigateway/methodSettings:MethodSettings",
        "aws:apigateway/model:Model",
        "aws:apigateway/resource:Resource",
        "aws:apigateway/response:Response",
        "aws:apigateway/usagePlanKey:UsagePlanKey",
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:lambda/alias:Alias",
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "aws:lambda/layerVersion:LayerVersion",
        "aws:lambda/permission:Permission",
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
        "aws:route53/record:Record",
        "aws:scheduler/schedule:Schedule",
        "aws:secretsmanager/secretVersion:SecretVersion",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:sqs/queuePolicy:QueuePolicy",
        "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
        "aws:sqs/redrivePolicy:RedrivePolicy",
        "aws:wafv2/webAclAssociation:WebAclAssociation",
    }
)
# The project's components, stack references, providers.
_NOT_IN_AWS: Final = (f"{PROJECT}:", "pulumi:")

# Beginning of a type to what to do instead.
_INSTEAD: Final[Mapping[str, str]] = {
    "aws:apigateway/restApiPut:": "declare each method, so that the rules can check it",
    "aws:apigatewayv2/": "add a route to the REST API, which requires a key",
    "aws:cloudformation/": "declare its resources in the program, so that the rules can check them",
    "aws:iam/": "use a role of the stack with inline policies",
    "aws:lambda/functionUrl:": "add a route to the REST API, which requires a key",
}
_OTHERWISE: Final = "extend the rules to it, then add it to policy/resource_types.py"


def types_are_covered(args: ResourceValidationArgs) -> Iterator[str]:
    """Checks that the rules cover the type of the resource."""
    type_ = args.resource_type
    if type_ not in TAGGED | UNTAGGED and not type_.startswith(_NOT_IN_AWS):
        instead = next((text for start, text in _INSTEAD.items() if type_.startswith(start)), _OTHERWISE)
        yield f"has the type {type_}, which no rule covers: {instead}"


RULES: Final[tuple[Policy, ...]] = (
    resource_rule(
        "types-are-covered",
        "Stacks declare only types of resources that the rules cover.",
        types_are_covered,
    ),
)
