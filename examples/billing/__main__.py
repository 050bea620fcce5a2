"""Adds a route to orderflow's API: GET /billing/{userId} returns a user's spending.

This project declares resources under the exported root, a method, a function with its role, a deployment, the
stage `billing` and a usage plan. It uses orderflow's exports and reads its orders table.
"""

import hashlib
import json
from pathlib import Path

import pulumi
import pulumi_aws as aws

METHOD = "GET"
PATH = ("billing", "{userId}")
# Orderflow's later deployments contain this route: without a key it would be open there too.
KEY_REQUIRED = True

STAGE = "billing"
PROJECT = Path(__file__).resolve().parent

config = pulumi.Config()
tags = {"project": pulumi.get_project(), "stack": pulumi.get_stack()}
clients = config.require_object("clients")
rate = config.require_int("rate")
burst = 10 * rate
orderflow = pulumi.StackReference(config.require("orderflowStack"))
api_id = orderflow.require_output("apiId")
orders_table = orderflow.require_output("tableNames").apply(lambda names: names["orders"])

partition = aws.get_partition_output().partition
region = aws.get_region_output().region
account = aws.get_caller_identity_output().account_id


def policy(*statements: dict[str, pulumi.Input[object]]) -> pulumi.Output[str]:
    """Returns an IAM policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


# --- The function, which may only read orders by user ---

role = aws.iam.Role(
    "spend_api-role",
    description="Permissions of the function spend_api",
    assume_role_policy=policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    ),
    tags=tags,
)
logs = aws.cloudwatch.LogGroup(
    "spend_api-logs",
    name=f"/aws/lambda/{pulumi.get_project()}/{pulumi.get_stack()}/spend_api",
    retention_in_days=config.require_int("logRetentionDays"),
    tags=tags,
)
orders_arn = pulumi.Output.format(
    "arn:{0}:dynamodb:{1}:{2}:table/{3}", partition, region, account, orders_table
)
permissions = aws.iam.RolePolicy(
    "spend_api",
    role=role.name,
    policy=policy(
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": pulumi.Output.concat(logs.arn, ":*"),
        },
        {
            "Effect": "Allow",
            "Action": "dynamodb:Query",
            "Resource": pulumi.Output.concat(orders_arn, "/index/byUser"),
        },
        {"Effect": "Allow", "Action": "dynamodb:BatchGetItem", "Resource": orders_arn},
    ),
)
function = aws.lambda_.Function(
    "spend_api",
    runtime="python3.13",
    architectures=["arm64"],
    handler="spend_api.handler.lambda_handler",
    code=pulumi.AssetArchive(
        {
            f"spend_api/{path.name}": pulumi.FileAsset(f"spend_api/{path.name}")
            for path in sorted((PROJECT / "spend_api").glob("*.py"))
        }
    ),
    role=role.arn,
    timeout=10,
    memory_size=256,
    environment=aws.lambda_.FunctionEnvironmentArgs(variables={"ORDERS_TABLE": orders_table}),
    logging_config=aws.lambda_.FunctionLoggingConfigArgs(
        log_format="JSON", application_log_level="INFO", system_log_level="WARN", log_group=logs.name
    ),
    tags=tags,
    opts=pulumi.ResourceOptions(depends_on=[permissions]),
)

# --- The route, under the root that orderflow exports ---

billing = aws.apigateway.Resource(
    "billing",
    rest_api=api_id,
    parent_id=orderflow.require_output("apiRootResourceId"),
    path_part=PATH[0],
)
user = aws.apigateway.Resource("user", rest_api=api_id, parent_id=billing.id, path_part=PATH[1])
method = aws.apigateway.Method(
    "get-spend",
    rest_api=api_id,
    resource_id=user.id,
    http_method=METHOD,
    authorization="NONE",
    api_key_required=KEY_REQUIRED,
)
integration = aws.apigateway.Integration(
    "get-spend",
    rest_api=api_id,
    resource_id=user.id,
    http_method=method.http_method,
    type="AWS_PROXY",
    integration_http_method="POST",
    uri=function.invoke_arn,
)
invocation = aws.lambda_.Permission(
    "api-invokes-spend_api",
    action="lambda:InvokeFunction",
    function=function.name,
    principal="apigateway.amazonaws.com",
    # From this stage and this route only, not from orderflow's stage.
    source_arn=pulumi.Output.format(
        "arn:{0}:execute-api:{1}:{2}:{3}/{4}",
        *(partition, region, account, api_id),
        f"{STAGE}/{METHOD}/{PATH[0]}/*",
    ),
)

# --- The deployment and the stage ---


def digest(uri: str) -> str:
    """Returns a hash of the route. A change triggers a deployment, which API Gateway never makes itself."""
    return hashlib.sha256(json.dumps([METHOD, *PATH, KEY_REQUIRED, uri]).encode()).hexdigest()


deployment = aws.apigateway.Deployment(
    "billing",
    rest_api=api_id,
    triggers={"contents": function.invoke_arn.apply(digest)},
    opts=pulumi.ResourceOptions(depends_on=[method, integration, invocation]),
)
stage = aws.apigateway.Stage(
    "billing", rest_api=api_id, deployment=deployment.id, stage_name=STAGE, tags=tags
)
aws.apigateway.MethodSettings(
    "billing",
    rest_api=api_id,
    stage_name=stage.stage_name,
    method_path="*/*",
    # For all clients together. It also limits orderflow's open routes in this stage's snapshot.
    settings=aws.apigateway.MethodSettingsSettingsArgs(
        throttling_rate_limit=rate * len(clients), throttling_burst_limit=burst * len(clients)
    ),
)

# --- The usage plan of this stage, for orderflow's keys ---

plan = aws.apigateway.UsagePlan(
    "billing",
    description="Route /billing, for the keys of orderflow",
    api_stages=[aws.apigateway.UsagePlanApiStageArgs(api_id=api_id, stage=stage.stage_name)],
    quota_settings=aws.apigateway.UsagePlanQuotaSettingsArgs(
        limit=config.require_int("quotaPerDay"), period="DAY"
    ),
    throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(rate_limit=rate, burst_limit=burst),
    tags=tags,
)
key_ids = orderflow.require_output("apiKeyIds")
for client in clients:
    aws.apigateway.UsagePlanKey(client, key_id=key_ids[client], key_type="API_KEY", usage_plan_id=plan.id)

pulumi.export("billingUrl", stage.invoke_url)
