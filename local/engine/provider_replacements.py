"""The properties that the AWS provider cannot change in place: a change of one replaces the resource.

The SDK does not include the provider's schema. The table has the properties that are `ForceNew` in
terraform-provider-aws (`internal/service/<service>/<resource>.go`), under their names in pulumi_aws. It has
the types that this repository's programs declare. `region` is `ForceNew` everywhere.
`tests/engine/test_provider_replacements.py` compares the table with CloudFormation's `createOnlyProperties`.
"""

from collections.abc import Mapping
from typing import Final

_ALL_OF_LAYER: Final = (
    "code",
    "compatibleArchitectures",
    "compatibleRuntimes",
    "description",
    "layerName",
    "licenseInfo",
    "s3Bucket",
    "s3Key",
    "s3ObjectVersion",
    "sourceCodeHash",
)
_ALL_OF_PERMISSION: Final = (
    "action",
    "eventSourceToken",
    "function",
    "functionUrlAuthType",
    "invokedViaFunctionUrl",
    "principal",
    "principalOrgId",
    "qualifier",
    "sourceAccount",
    "sourceArn",
    "statementId",
    "statementIdPrefix",
)

REPLACED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "aws:apigateway/apiKey:ApiKey": ("value",),
    "aws:apigateway/basePathMapping:BasePathMapping": ("domainName", "domainNameId"),
    "aws:apigateway/deployment:Deployment": ("restApi", "triggers", "variables"),
    "aws:apigateway/domainName:DomainName": (
        "domainName",
        "certificateBody",
        "certificateChain",
        "certificatePrivateKey",
    ),
    "aws:apigateway/integration:Integration": (
        "restApi",
        "resourceId",
        "httpMethod",
        "integrationHttpMethod",
        "type",
        "credentials",
        "passthroughBehavior",
    ),
    "aws:apigateway/integrationResponse:IntegrationResponse": (
        "restApi",
        "resourceId",
        "httpMethod",
        "statusCode",
    ),
    "aws:apigateway/method:Method": ("restApi", "resourceId", "httpMethod"),
    "aws:apigateway/methodResponse:MethodResponse": ("restApi", "resourceId", "httpMethod", "statusCode"),
    "aws:apigateway/methodSettings:MethodSettings": ("restApi", "stageName", "methodPath"),
    "aws:apigateway/model:Model": ("restApi", "contentType", "name"),
    "aws:apigateway/resource:Resource": ("restApi",),
    "aws:apigateway/response:Response": ("restApiId", "responseType"),
    "aws:apigateway/restApi:RestApi": (),
    "aws:apigateway/stage:Stage": ("restApi", "stageName"),
    "aws:apigateway/usagePlan:UsagePlan": (),
    "aws:apigateway/usagePlanKey:UsagePlanKey": ("keyId", "keyType", "usagePlanId"),
    "aws:cloudwatch/dashboard:Dashboard": ("dashboardName",),
    "aws:cloudwatch/eventBus:EventBus": ("name", "eventSourceName"),
    "aws:cloudwatch/eventRule:EventRule": ("name", "namePrefix", "eventBusName"),
    "aws:cloudwatch/eventTarget:EventTarget": ("rule", "eventBusName", "targetId"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", "namePrefix", "logGroupClass"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": ("name",),
    "aws:dynamodb/table:Table": (
        "name",
        "hashKey",
        "rangeKey",
        "importTable",
        "localSecondaryIndexes",
        "restoreSourceName",
        "restoreSourceTableArn",
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": ("url",),
    "aws:iam/policy:Policy": ("name", "namePrefix", "path", "description"),
    "aws:iam/role:Role": ("name", "namePrefix", "path"),
    "aws:iam/rolePolicy:RolePolicy": ("name", "namePrefix", "role"),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": ("role", "policyArn"),
    "aws:kms/key:Key": ("customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"),
    "aws:lambda/alias:Alias": ("name", "functionName"),
    "aws:lambda/eventSourceMapping:EventSourceMapping": (
        "eventSourceArn",
        "amazonManagedKafkaEventSourceConfig",
        "queues",
        "selfManagedEventSource",
        "selfManagedKafkaEventSourceConfig",
        "startingPosition",
        "startingPositionTimestamp",
        "topics",
    ),
    "aws:lambda/function:Function": ("name", "packageType", "tenancyConfig"),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": ("functionName", "qualifier"),
    "aws:lambda/layerVersion:LayerVersion": _ALL_OF_LAYER,
    "aws:lambda/permission:Permission": _ALL_OF_PERMISSION,
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": ("functionName", "qualifier"),
    "aws:route53/record:Record": ("name", "zoneId"),
    "aws:scheduler/schedule:Schedule": ("name", "namePrefix", "groupName"),
    "aws:scheduler/scheduleGroup:ScheduleGroup": ("name", "namePrefix"),
    "aws:sfn/stateMachine:StateMachine": ("name", "namePrefix", "type"),
    "aws:sns/topic:Topic": ("name", "namePrefix", "fifoTopic"),
    "aws:sns/topicPolicy:TopicPolicy": ("arn",),
    "aws:sns/topicSubscription:TopicSubscription": ("endpoint", "protocol", "topic"),
    "aws:sqs/queue:Queue": ("name", "namePrefix", "fifoQueue"),
    "aws:sqs/queuePolicy:QueuePolicy": ("queueUrl",),
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": ("queueUrl",),
    "aws:wafv2/webAcl:WebAcl": ("name", "namePrefix", "scope"),
    "aws:wafv2/webAclAssociation:WebAclAssociation": ("resourceArn", "webAclArn"),
    "aws:xray/samplingRule:SamplingRule": ("ruleName", "version"),
}


def replacing_properties(token: str) -> frozenset[str]:
    """Returns the properties whose change replaces a resource of this type.

    Raises LookupError for a type that is not in the table.
    """
    if token not in REPLACED_BY:
        raise LookupError(
            f"{token} is not in the table of replacing properties. Add it to {__name__}.REPLACED_BY."
        )
    return frozenset((*REPLACED_BY[token], "region"))
