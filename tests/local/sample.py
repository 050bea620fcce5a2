"""A small program for tests of the deployer: API, functions, queue and workflow."""

MAIN = """
import json
import pulumi, pulumi_aws as aws

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]})
table = aws.dynamodb.Table("things", hash_key="id", billing_mode="PAY_PER_REQUEST", tags={"team": "blue"},
    attributes=[aws.dynamodb.TableAttributeArgs(name="id", type="S")])
dead = aws.sqs.Queue("dead")
queue = aws.sqs.Queue("work", visibility_timeout_seconds=60, redrive_policy=pulumi.Output.json_dumps(
    {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 3}))
code = pulumi.AssetArchive({"app/handler.py": pulumi.FileAsset("app/handler.py")})


def function(name, actions):
    role = aws.iam.Role(f"{name}-role", assume_role_policy=TRUST)
    group = aws.cloudwatch.LogGroup(f"{name}-logs", retention_in_days=14)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": [table.arn]}
    policy = aws.iam.RolePolicy(f"{name}-policy", role=role.name,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    return aws.lambda_.Function(name, code=code, handler=f"app.handler.{name}", runtime="python3.13",
        architectures=["arm64"], role=role.arn, timeout=10,
        environment=aws.lambda_.FunctionEnvironmentArgs(variables={"TABLE": table.name}),
        tracing_config=aws.lambda_.FunctionTracingConfigArgs(mode="Active"),
        logging_config=aws.lambda_.FunctionLoggingConfigArgs(log_format="Text", log_group=group.name),
        opts=pulumi.ResourceOptions(depends_on=[policy]))


api_function = function("api", ["dynamodb:PutItem"])
task = function("task", ["dynamodb:PutItem"])
consume = function("consume", ["dynamodb:PutItem"])
aws.lambda_.EventSourceMapping("feed", event_source_arn=queue.arn, function_name=consume.arn, batch_size=10,
    function_response_types=["ReportBatchItemFailures"],
    scaling_config=aws.lambda_.EventSourceMappingScalingConfigArgs(maximum_concurrency=2))
machine_role = aws.iam.Role("machine-role", assume_role_policy=TRUST)
machine = aws.sfn.StateMachine("machine", role_arn=machine_role.arn, definition=pulumi.Output.json_dumps({
    "QueryLanguage": "JSONata", "StartAt": "Work", "States": {
        "Work": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True,
            "Arguments": {"FunctionName": task.arn, "Payload": "{% $states.input %}"},
            "Catch": [{"ErrorEquals": ["OutOfStock"], "Next": "Rejected", "Output": "rejected"}]},
        "Rejected": {"Type": "Succeed"}}}))

api = aws.apigateway.RestApi("api",
    endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"))
part = aws.apigateway.Resource("things", rest_api=api.id, parent_id=api.root_resource_id, path_part="things")
method = aws.apigateway.Method("get", rest_api=api.id, resource_id=part.id, http_method="GET",
    authorization="NONE", api_key_required=True)
integration = aws.apigateway.Integration("get", rest_api=api.id, resource_id=part.id,
    http_method=method.http_method, type="AWS_PROXY", integration_http_method="POST",
    uri=api_function.invoke_arn)
denied = aws.apigateway.Response("denied", rest_api_id=api.id, response_type="INVALID_API_KEY",
    status_code="403", response_templates={"application/json": '{"title": "no key"}'})
deployment = aws.apigateway.Deployment("now", rest_api=api.id,
    opts=pulumi.ResourceOptions(depends_on=[integration, denied]))
stage = aws.apigateway.Stage("v1", rest_api=api.id, deployment=deployment.id, stage_name="v1")
plan = aws.apigateway.UsagePlan("free",
    api_stages=[aws.apigateway.UsagePlanApiStageArgs(api_id=api.id, stage=stage.stage_name)],
    quota_settings=aws.apigateway.UsagePlanQuotaSettingsArgs(limit=2, period="DAY"),
    throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(burst_limit=50, rate_limit=50))
key = aws.apigateway.ApiKey("free")
aws.apigateway.UsagePlanKey("free", usage_plan_id=plan.id, key_id=key.id, key_type="API_KEY")

pulumi.export("apiUrl", stage.invoke_url)
pulumi.export("apiKeyIds", {"free": key.id})
pulumi.export("table", table.name)
pulumi.export("tableArn", table.arn)
pulumi.export("queue", queue.url)
pulumi.export("machine", machine.arn)
pulumi.export("task", task.name)
"""

HANDLER = """
import json, os
import boto3

table = os.environ["TABLE"]
db = boto3.client("dynamodb")


class OutOfStock(Exception):
    pass


def put(name):
    db.put_item(TableName=table, Item={"id": {"S": name}})


def api(event, context):
    print("a line of", context.function_name)
    put("from-api")
    return {"statusCode": 200, "body": json.dumps({"ok": True})}


def task(event, context):
    if event.get("delete"):
        db.delete_item(TableName=table, Key={"id": {"S": "x"}})
    if event.get("environment"):
        return dict(os.environ)
    raise OutOfStock("none left")


def consume(event, context):
    for record in event["Records"]:
        put(record["body"])
    return {"batchItemFailures": []}
"""

SCHEMA = "pulumi:autonaming: {value: {pattern: '${name}-${stack}-${hex(6)}'}}"
FILES = {"app/handler.py": HANDLER}
