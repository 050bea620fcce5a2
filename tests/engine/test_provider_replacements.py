"""The provider plugin replaces a resource where CloudFormation does: `createOnlyProperties` of AWS's schemas.

cfn-lint includes these schemas. CloudFormation and the AWS provider call the same APIs. So they replace for
the same properties, except for those in CHANGED_IN_PLACE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from local.engine.provider_replacements import REPLACED_BY
from local.engine.sdk_types import arguments_class
from local.engine.stacks import EVERYTHING, declare_test_stack

SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"
# Types whose CloudFormation name is not `AWS::<service>::<resource>`; None has no counterpart with a schema.
CLOUDFORMATION: Mapping[str, str | None] = {
    "aws:apigateway/integration:Integration": None,  # part of a Method
    "aws:apigateway/integrationResponse:IntegrationResponse": None,  # part of a Method
    "aws:apigateway/methodResponse:MethodResponse": None,  # part of a Method
    "aws:apigateway/methodSettings:MethodSettings": None,  # part of a Stage
    "aws:apigateway/response:Response": "AWS::ApiGateway::GatewayResponse",
    "aws:cloudwatch/eventBus:EventBus": "AWS::Events::EventBus",
    "aws:cloudwatch/eventRule:EventRule": "AWS::Events::Rule",
    "aws:cloudwatch/eventTarget:EventTarget": None,  # part of a Rule
    "aws:cloudwatch/logGroup:LogGroup": "AWS::Logs::LogGroup",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "AWS::CloudWatch::Alarm",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "AWS::IAM::OIDCProvider",
    "aws:iam/policy:Policy": "AWS::IAM::ManagedPolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": None,  # part of a Role
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": "AWS::Lambda::EventInvokeConfig",
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": None,  # part of an Alias
    "aws:route53/record:Record": "AWS::Route53::RecordSet",
    "aws:sfn/stateMachine:StateMachine": "AWS::StepFunctions::StateMachine",
    "aws:sns/topicSubscription:TopicSubscription": "AWS::SNS::Subscription",
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": None,  # part of a Queue
}
_RECORD = "aws:route53/record:Record"
# Inputs whose names differ from CloudFormation's; None where the provider has no such input.
INPUTS: Mapping[tuple[str, str], str | None] = {
    ("aws:apigateway/apiKey:ApiKey", "GenerateDistinctId"): None,
    ("aws:apigateway/deployment:Deployment", "DeploymentCanarySettings"): None,
    ("aws:apigateway/response:Response", "RestApiId"): "restApiId",
    ("aws:dynamodb/table:Table", "ImportSourceSpecification"): "importTable",
    ("aws:iam/rolePolicy:RolePolicy", "RoleName"): "role",
    ("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", "FunctionName"): "functionName",
    ("aws:lambda/layerVersion:LayerVersion", "Content"): "code",
    ("aws:lambda/permission:Permission", "FunctionName"): "function",
    ("aws:lambda/permission:Permission", "PrincipalOrgID"): "principalOrgId",
    (_RECORD, "HostedZoneId"): "zoneId",
    (_RECORD, "HostedZoneName"): None,
    ("aws:sfn/stateMachine:StateMachine", "StateMachineType"): "type",
    ("aws:sns/topicSubscription:TopicSubscription", "TopicArn"): "topic",
    ("aws:wafv2/webAclAssociation:WebAclAssociation", "WebACLArn"): "webAclArn",
    ("aws:xray/samplingRule:SamplingRule", "SamplingRule/Version"): "version",
}
# What the provider does otherwise, and how.
CHANGED_IN_PLACE = {
    ("aws:apigateway/apiKey:ApiKey", "Name"): "UpdateApiKey",
    ("aws:apigateway/basePathMapping:BasePathMapping", "BasePath"): "UpdateBasePathMapping",
    ("aws:apigateway/resource:Resource", "ParentId"): "UpdateResource moves it",
    ("aws:apigateway/resource:Resource", "PathPart"): "UpdateResource renames it",
}


@cache
def schema(token: str) -> Mapping[str, Any] | None:
    """AWS's schema of the CloudFormation resource."""
    _, module, name = token.split(":")
    service = module.partition("/")[0]
    index = json.loads((SCHEMAS / "providers" / "us-east-1.json").read_text("utf-8"))
    wanted = CLOUDFORMATION.get(token, f"AWS::{service}::{name}")
    if wanted is None:
        return None
    (found,) = [file for kind, file in index.items() if kind.lower() == wanted.lower()]
    content: Mapping[str, Any] = json.loads((SCHEMAS / "resources" / f"{found}.json").read_text("utf-8"))
    return content


def input_name(token: str, prop: str) -> str | None:
    """The provider's input for a property of CloudFormation."""
    if (token, prop) in INPUTS:
        return INPUTS[token, prop]
    name = "restApi" if prop == "RestApiId" else prop[0].lower() + prop[1:]
    # QueueName, AlarmName, ...: the provider calls it `name`.
    return name if has_input(token, name) or not prop.endswith("Name") else "name"


def fixed_properties(token: str) -> list[str]:
    """What CloudFormation cannot change in place."""
    found = schema(token)
    assert found is not None
    return [path.removeprefix("/properties/") for path in found.get("createOnlyProperties", ())]


def has_input(token: str, name: str) -> bool:
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return hasattr(arguments_class(token), snake)


COMPARED = [token for token in REPLACED_BY if CLOUDFORMATION.get(token, token) is not None]


@pytest.mark.parametrize("token", COMPARED)
def test_what_cloudformation_replaces_the_provider_replaces(token: str) -> None:
    for prop in fixed_properties(token):
        if (token, prop) not in CHANGED_IN_PLACE and (name := input_name(token, prop)):
            assert name in REPLACED_BY[token], prop


@pytest.mark.parametrize("token", REPLACED_BY)
def test_every_property_of_the_table_is_an_input(token: str) -> None:
    for name in REPLACED_BY[token]:
        assert has_input(token, name), name


def test_every_exception_is_needed() -> None:
    for token, prop in {**CHANGED_IN_PLACE, **INPUTS}:
        assert prop in fixed_properties(token)
    for token, prop in CHANGED_IN_PLACE:
        assert input_name(token, prop) not in REPLACED_BY[token]


def test_every_type_of_the_program_is_in_the_table() -> None:
    declared = declare_test_stack("prod", **EVERYTHING).resources
    assert {found.type for found in declared if found.custom} <= set(REPLACED_BY)
