"""A REST API in front of Lambda functions: routes, preflights, errors, keys, usage plans, stage."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from components import api_responses
from components.function import LambdaFunction
from components.names import log_group_name, sampling_rule_name
from components.settings.api import ApiSettings, UsagePlan

STAGE: Final = "v1"

# One line per request. It has the id of the key, which is no secret.
_ACCESS_LOG: Final = json.dumps(
    {
        "requestId": "$context.requestId",
        "time": "$context.requestTimeEpoch",
        "ip": "$context.identity.sourceIp",
        "apiKeyId": "$context.identity.apiKeyId",
        "method": "$context.httpMethod",
        "resource": "$context.resourcePath",
        "status": "$context.status",
        "milliseconds": "$context.responseLatency",
        "error": "$context.error.responseType",
    }
)


@dataclass(frozen=True, kw_only=True)
class _Route:
    method: str
    path: str
    function: LambdaFunction
    key_required: bool


class RestApi(pulumi.ComponentResource):
    """A REST API: `route` adds its routes, then `deploy` declares them and serves them under the stage `v1`.

    A deployment is a snapshot of the API, made only on request. A new one is made when the hash of all
    routes, preflights and gateway responses changes.

    A removed route must be deleted before that snapshot. Pulumi deletes what is no longer declared at the end
    of an update. By then it has made the new deployment, which would still hold the route
    (https://github.com/pulumi/pulumi-aws/issues/3289, https://github.com/pulumi/pulumi-aws/issues/3683).
    Therefore all methods and gateway responses take the API's id from one model, whose name is a hash of
    their list. When the list changes, the model is deleted before it is replaced. The engine first deletes
    all that depends on it, the removed ones included. It then declares the others again, and deploys. Until
    then, the stage serves its old snapshot. Resources (paths) keep their ids, because other projects declare
    methods below them.
    """

    id: pulumi.Output[str]
    name: pulumi.Output[str]
    root_resource_id: pulumi.Output[str]
    resource_ids: dict[str, pulumi.Output[str]]
    stage_name: pulumi.Output[str]
    stage_arn: pulumi.Output[str]
    url: pulumi.Output[str]
    api_key_ids: dict[str, pulumi.Output[str]]
    usage_plan_ids: dict[str, pulumi.Output[str]]

    def __init__(
        self,
        name: str,
        *,
        description: str,
        settings: ApiSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:api:RestApi", name, None, opts)
        self._name = name
        self._settings = settings
        self._api = aws.apigateway.RestApi(
            name,
            description=description,
            endpoint_configuration=aws.apigateway.RestApiEndpointConfigurationArgs(types="REGIONAL"),
            # Bytes above which responses are compressed for clients that accept it: /docs is 1.7 MB.
            minimum_compression_size="1024",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.id = self._api.id
        self.name = self._api.name
        self.root_resource_id = self._api.root_resource_id
        self.resource_ids = {"/": self.root_resource_id}
        self._routes: list[_Route] = []
        # The contents of a deployment, and the values whose change requires a new one.
        self._deployed: list[pulumi.Resource] = []
        self._fingerprint: list[Any] = []

    def route(self, method: str, path: str, function: LambdaFunction, *, key_required: bool = True) -> None:
        """Adds a route that the function answers, by default only for clients with a key.

        A path is `/` or whole segments, of which those in braces are parameters (`/users/{userId}`). A route
        for GET is one for HEAD too.
        """
        for each in (method, "HEAD") if method == "GET" else (method,):
            self._routes.append(_Route(method=each, path=path, function=function, key_required=key_required))

    @property
    def functions(self) -> list[LambdaFunction]:
        """The functions that answer the routes, each once."""
        return list({route.function.name: route.function for route in self._routes}.values())

    def deploy(self) -> None:
        """Declares the routes and serves them. Called once, after the last route."""
        methods: dict[str, list[str]] = {}
        for route in self._routes:
            methods.setdefault(route.path, []).append(route.method)
        # The id of the API, for all that must be deleted before a deployment: see the class.
        self._id_for_contents = self._contents_list(methods).rest_api
        for route in self._routes:
            self._add_route(route)
        for path, of_path in methods.items():
            self._add_preflight(path, of_path)
        self._add_problems()
        permissions = [self._permit(function) for function in self.functions]
        deployment = aws.apigateway.Deployment(
            self._name,
            rest_api=self.id,
            triggers={"contents": pulumi.Output.json_dumps(self._fingerprint).apply(_digest)},
            opts=pulumi.ResourceOptions(
                parent=self,
                # A snapshot has what exists by then. No request may arrive before its function may be called.
                depends_on=[*self._deployed, *permissions],
            ),
        )
        stage = aws.apigateway.Stage(
            self._name,
            rest_api=self.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings=self._access_log(),
            xray_tracing_enabled=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.stage_name = stage.stage_name
        self.stage_arn = stage.arn
        self.url = stage.invoke_url
        self._limit_stage()
        self._sample_traces()
        self.api_key_ids = {}
        self.usage_plan_ids = {}
        for plan_name, plan in self._settings.usage_plans.items():
            self._add_usage_plan(plan_name, plan)
        self.register_outputs(
            {
                "id": self.id,
                "url": self.url,
                "stageName": self.stage_name,
                "apiKeyIds": self.api_key_ids,
                "usagePlanIds": self.usage_plan_ids,
            }
        )

    def _sample_traces(self) -> None:
        """Samples traces here, where a request arrives. All later segments follow this decision."""
        aws.xray.SamplingRule(
            self._name,
            rule_name=sampling_rule_name(pulumi.get_project(), pulumi.get_stack()),
            priority=1000,
            version=1,
            # The first request of each second, for an API with little traffic, and a share of the others.
            reservoir_size=1 if self._settings.tracing_percent else 0,
            fixed_rate=self._settings.tracing_percent / 100,
            resource_arn=self.stage_arn,
            service_type="AWS::ApiGateway::Stage",
            service_name="*",
            host="*",
            http_method="*",
            url_path="*",
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _contents_list(self, methods: Mapping[str, Sequence[str]]) -> aws.apigateway.Model:
        """A model that is replaced when a route, a path or a gateway response is added or removed."""
        contents = sorted(f"{method} {path}" for path in methods for method in methods[path])
        return aws.apigateway.Model(
            f"{self._name}-contents",
            rest_api=self.id,
            # Letters and digits only.
            name=f"Contents{_digest(json.dumps([contents, sorted(api_responses.PROBLEMS)]))[:16]}",
            description="No schema. Its name changes when a method or gateway response is added or removed.",
            content_type="application/json",
            schema="{}",
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _add_route(self, route: _Route) -> None:
        name = self._child_name(route.path, route.method)
        resource_id = self._resource(route.path)
        child = pulumi.ResourceOptions(parent=self)
        method = aws.apigateway.Method(
            name,
            rest_api=self._id_for_contents,
            resource_id=resource_id,
            http_method=route.method,
            authorization="NONE",
            api_key_required=route.key_required,
            opts=child,
        )
        integration = aws.apigateway.Integration(
            name,
            rest_api=self._id_for_contents,
            resource_id=resource_id,
            http_method=method.http_method,
            type="AWS_PROXY",
            integration_http_method="POST",
            uri=route.function.invoke_arn,
            opts=child,
        )
        self._deployed += [method, integration]
        self._fingerprint.append([route.method, route.path, route.key_required, route.function.invoke_arn])

    def _resource(self, path: str) -> pulumi.Output[str]:
        """Returns the id of the path's resource. The first call declares it and its parents."""
        if path not in self.resource_ids:
            above, _, part = path.rpartition("/")
            self.resource_ids[path] = aws.apigateway.Resource(
                self._child_name(path),
                rest_api=self.id,
                parent_id=self._resource(above or "/"),
                path_part=part,
                opts=pulumi.ResourceOptions(parent=self),
            ).id
        return self.resource_ids[path]

    def _child_name(self, path: str, method: str = "") -> str:
        """Returns a name such as `orderflow-get-users-userId`."""
        parts = path.replace("{", "").replace("}", "").split("/")
        return "-".join(part for part in (self._name, method.lower(), *parts) if part)

    def _add_preflight(self, path: str, methods: list[str]) -> None:
        """Answers OPTIONS without a key and without a Lambda: browsers send no key with it."""
        name = self._child_name(path, "options")
        child = pulumi.ResourceOptions(parent=self)
        headers = api_responses.preflight_headers(self._settings.cors_origins, methods)
        template = api_responses.preflight_template(self._settings.cors_origins)
        method = aws.apigateway.Method(
            name,
            rest_api=self._id_for_contents,
            resource_id=self.resource_ids[path],
            http_method="OPTIONS",
            authorization="NONE",
            api_key_required=False,
            opts=child,
        )
        integration = aws.apigateway.Integration(
            name,
            rest_api=self._id_for_contents,
            resource_id=self.resource_ids[path],
            http_method=method.http_method,
            type="MOCK",
            request_templates={"application/json": '{"statusCode": 204}'},
            opts=child,
        )
        method_response = aws.apigateway.MethodResponse(
            name,
            rest_api=self._id_for_contents,
            resource_id=self.resource_ids[path],
            http_method=method.http_method,
            status_code="204",
            response_parameters=dict.fromkeys(headers, True),
            opts=child,
        )
        integration_response = aws.apigateway.IntegrationResponse(
            name,
            rest_api=self._id_for_contents,
            resource_id=self.resource_ids[path],
            http_method=integration.http_method,
            status_code=method_response.status_code,
            response_parameters=headers,
            response_templates={"application/json": template},
            opts=child,
        )
        self._deployed += [method, integration, method_response, integration_response]
        self._fingerprint.append(["OPTIONS", path, headers, template])

    def _add_problems(self) -> None:
        for response_type, problem in api_responses.PROBLEMS.items():
            headers = api_responses.problem_headers(problem, self._settings.cors_origins)
            template = api_responses.problem_template(problem)
            response = aws.apigateway.Response(
                f"{self._name}-{response_type.lower()}",
                rest_api_id=self._id_for_contents,
                response_type=response_type,
                status_code=str(problem.status),
                response_parameters=headers,
                response_templates={"application/json": template},
                opts=pulumi.ResourceOptions(parent=self),
            )
            self._deployed.append(response)
            self._fingerprint.append([response_type, problem.status, headers, template])

    def _permit(self, function: LambdaFunction) -> aws.lambda_.Permission:
        """Lets this stage of the API call the function. Other stages belong to other projects."""
        return aws.lambda_.Permission(
            f"{self._name}-invokes-{function.name}",
            action="lambda:InvokeFunction",
            function=function.arn,
            qualifier=function.qualifier,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self._api.execution_arn, f"/{STAGE}/*"),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _access_log(self) -> aws.apigateway.StageAccessLogSettingsArgs | None:
        """Returns the log of the stage's requests, or None.

        AWS writes access logs under one role for the whole account and region. The program does not declare
        that role, because removing one stack would stop the logs of all others. Without the role AWS refuses
        the stage.
        """
        if self._settings.access_log_days is None:
            return None
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-access-logs",
            name=log_group_name("apigateway", pulumi.get_project(), pulumi.get_stack(), self._name),
            retention_in_days=self._settings.access_log_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return aws.apigateway.StageAccessLogSettingsArgs(destination_arn=log_group.arn, format=_ACCESS_LOG)

    def _limit_stage(self) -> None:
        """Limits each method to the sum of all plans. That also limits the routes without a key."""
        plans = self._settings.usage_plans.values()
        aws.apigateway.MethodSettings(
            self._name,
            rest_api=self.id,
            stage_name=self.stage_name,
            method_path="*/*",
            settings=aws.apigateway.MethodSettingsSettingsArgs(
                # Metrics per method are billed as custom metrics. Those of the stage are free.
                # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
                metrics_enabled=False,
                throttling_burst_limit=sum(plan.burst for plan in plans),
                throttling_rate_limit=sum(plan.rate for plan in plans),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _add_usage_plan(self, name: str, limits: UsagePlan) -> None:
        """Declares one API key and its limits. AWS makes the key's value, which is in no output."""
        child = pulumi.ResourceOptions(parent=self)
        key = aws.apigateway.ApiKey(name, description=f"Key of the usage plan {name}", opts=child)
        plan = aws.apigateway.UsagePlan(
            name,
            description=f"{limits.quota_per_day} a day, {limits.rate:g} a second, burst {limits.burst}",
            api_stages=[aws.apigateway.UsagePlanApiStageArgs(api_id=self.id, stage=self.stage_name)],
            quota_settings=aws.apigateway.UsagePlanQuotaSettingsArgs(
                limit=limits.quota_per_day, period="DAY"
            ),
            throttle_settings=aws.apigateway.UsagePlanThrottleSettingsArgs(
                burst_limit=limits.burst, rate_limit=limits.rate
            ),
            opts=child,
        )
        aws.apigateway.UsagePlanKey(
            name, key_id=key.id, key_type="API_KEY", usage_plan_id=plan.id, opts=child
        )
        self.api_key_ids[name] = key.id
        self.usage_plan_ids[name] = plan.id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
