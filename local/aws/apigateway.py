"""API Gateway REST APIs, version 1.

The emulator keeps no snapshot of a deployment. A stage always serves the API's latest resources.
"""

from typing import Any, Final

from local.aws.core import (
    OWN,
    Created,
    Creation,
    Field,
    Kind,
    nested,
    not_emulated,
    only,
    text,
    without_empty,
)


def _create_api(call: Creation) -> Created:
    name, client = call.name(), call.client("apigateway")
    params = without_empty(call.params)
    if api_id := call.cloud.stable_value(f"api {call.resource.name}"):
        params["tags"] = {**params.get("tags", {}), "ms-custom-id": api_id[:8]}
    api = client.create_rest_api(name=name, **params)
    root = api.get("rootResourceId") or next(
        item["id"] for item in client.get_resources(restApiId=api["id"])["items"] if item["path"] == "/"
    )
    return api["id"], {
        "name": name,
        "rootResourceId": root,
        "executionArn": call.cloud.arn("execute-api", api["id"]),
        "arn": f"arn:{call.cloud.partition}:apigateway:{call.cloud.region}::/restapis/{api['id']}",
    }


def _create_resource(call: Creation) -> Created:
    resource = call.client("apigateway").create_resource(**call.params)
    return resource["id"], {"path": resource["path"]}


def _method_id(call: Creation, prefix: str, *more: str) -> str:
    """Returns the provider's id of a method, or of a response or integration of it."""
    inputs = call.inputs
    return "-".join((prefix, inputs["restApi"], inputs["resourceId"], inputs["httpMethod"], *more))


def _put_method(call: Creation) -> Created:
    call.client("apigateway").put_method(**call.params)
    return _method_id(call, "agm"), {}


def _put_method_response(call: Creation) -> Created:
    call.client("apigateway").put_method_response(**_with_booleans(call.params, "responseParameters"))
    return _method_id(call, "agmr", str(call.inputs["statusCode"])), {}


def _with_booleans(params: dict[str, Any], key: str) -> dict[str, Any]:
    """Converts the values under `key` to booleans; the provider also passes them as text."""
    if key not in params:
        return params
    return params | {key: {name: str(value).lower() == "true" for name, value in params[key].items()}}


def _put_integration(call: Creation) -> Created:
    call.client("apigateway").put_integration(**without_empty(call.params))
    return _method_id(call, "agi"), {}


def _put_integration_response(call: Creation) -> Created:
    call.client("apigateway").put_integration_response(**without_empty(call.params))
    return _method_id(call, "agir", str(call.inputs["statusCode"])), {}


def _create_deployment(call: Creation) -> Created:
    deployment = call.client("apigateway").create_deployment(**without_empty(call.params))
    return deployment["id"], {"createdDate": deployment["createdDate"].isoformat()}


def _create_stage(call: Creation) -> Created:
    api, stage, cloud = call.inputs["restApi"], call.inputs["stageName"], call.cloud
    call.client("apigateway").create_stage(**without_empty(call.params))
    return f"ags-{api}-{stage}", {
        # On AWS: https://<api>.execute-api.<region>.amazonaws.com/<stage>.
        "invokeUrl": f"{cloud.endpoint.url}/_aws/execute-api/{api}/{stage}",
        "executionArn": cloud.arn("execute-api", f"{api}/{stage}"),
        "arn": f"arn:{cloud.partition}:apigateway:{cloud.region}::/restapis/{api}/stages/{stage}",
    }


_SETTINGS: Final = {
    "metricsEnabled": "metrics/enabled",
    "loggingLevel": "logging/loglevel",
    "dataTraceEnabled": "logging/dataTrace",
    "throttlingBurstLimit": "throttling/burstLimit",
    "throttlingRateLimit": "throttling/rateLimit",
    "cachingEnabled": "caching/enabled",
    "cacheTtlInSeconds": "caching/ttlInSeconds",
    "cacheDataEncrypted": "caching/dataEncrypted",
}


def _put_settings(call: Creation) -> Created:
    inputs = call.inputs
    operations = [
        {
            "op": "replace",
            "path": f"/{inputs['methodPath']}/{_SETTINGS[key]}",
            "value": str(value).lower() if isinstance(value, bool) else str(value),
        }
        for key, value in inputs["settings"].items()
    ]
    call.client("apigateway").update_stage(
        restApiId=inputs["restApi"], stageName=inputs["stageName"], patchOperations=operations
    )
    return f"{inputs['restApi']}-{inputs['stageName']}-{inputs['methodPath']}", {}


def _create_key(call: Creation) -> Created:
    name = call.name()
    params = {"enabled": True} | without_empty(call.params)
    if "value" not in params and (value := call.cloud.stable_value(f"key {call.resource.name}")):
        params["value"] = value
    key = call.client("apigateway").create_api_key(name=name, **params)
    arn = f"arn:{call.cloud.partition}:apigateway:{call.cloud.region}::/apikeys/{key['id']}"
    return key["id"], {"name": name, "value": key["value"], "arn": arn, "enabled": params["enabled"]}


def _create_plan(call: Creation) -> Created:
    name = call.name()
    plan = call.client("apigateway").create_usage_plan(name=name, **without_empty(call.params))
    arn = f"arn:{call.cloud.partition}:apigateway:{call.cloud.region}::/usageplans/{plan['id']}"
    return plan["id"], {"name": name, "arn": arn}


def _create_plan_key(call: Creation) -> Created:
    key = call.client("apigateway").create_usage_plan_key(**call.params)
    return key["id"], {"name": key.get("name"), "value": key.get("value")}


def _put_gateway_response(call: Creation) -> Created:
    call.client("apigateway").put_gateway_response(**without_empty(call.params))
    return f"aggr-{call.inputs['restApiId']}-{call.inputs['responseType']}", {}


def _create_validator(call: Creation) -> Created:
    name = call.name()
    return call.client("apigateway").create_request_validator(name=name, **call.params)["id"], {"name": name}


def _create_model(call: Creation) -> Created:
    name = call.name()
    return call.client("apigateway").create_model(name=name, **call.params)["id"], {"name": name}


def _create_domain(call: Creation) -> Created:
    name = call.inputs["domainName"]
    domain = call.client("apigateway").create_domain_name(**without_empty(call.params))
    region = call.cloud.region
    return name, {
        "arn": f"arn:{call.cloud.partition}:apigateway:{region}::/domainnames/{name}",
        "regionalDomainName": domain.get("regionalDomainName") or f"{name}.regional.local",
        "regionalZoneId": domain.get("regionalHostedZoneId") or "Z00000000000000000000",
        "cloudfrontDomainName": domain.get("distributionDomainName"),
        "cloudfrontZoneId": domain.get("distributionHostedZoneId"),
    }


def _create_mapping(call: Creation) -> Created:
    call.client("apigateway").create_base_path_mapping(**without_empty(call.params))
    return f"{call.inputs['domainName']}/{call.inputs.get('basePath', '')}", {}


_METHOD: Final[dict[str, Field | str]] = {
    "restApi": "restApiId",
    "resourceId": "resourceId",
    "httpMethod": "httpMethod",
}
_ENDPOINT: Final = nested(
    "endpointConfiguration",
    {
        "types": Field(to="types", convert=lambda kind: [kind]),
        "ipAddressType": not_emulated("the emulator listens on IPv4 loopback only"),
    },
)

KINDS: Final = (
    Kind(
        resource_type="aws:apigateway/restApi:RestApi",
        inputs={
            "name": OWN,
            "description": "description",
            "apiKeySource": only("apiKeySource", "HEADER"),
            "endpointConfiguration": _ENDPOINT,
            "binaryMediaTypes": "binaryMediaTypes",
            "disableExecuteApiEndpoint": only("disableExecuteApiEndpoint", False),
            "policy": "policy",
            "tags": "tags",
            "minimumCompressionSize": not_emulated("the emulator compresses no responses"),
            "failOnWarnings": OWN,  # used only when a body is imported
        },
        outputs=("rootResourceId", "executionArn", "arn", "name"),
        create=_create_api,
    ),
    Kind(
        resource_type="aws:apigateway/resource:Resource",
        inputs={"restApi": "restApiId", "parentId": "parentId", "pathPart": "pathPart"},
        outputs=("path",),
        create=_create_resource,
    ),
    Kind(
        resource_type="aws:apigateway/method:Method",
        inputs={
            **_METHOD,
            "authorization": "authorizationType",
            "authorizerId": "authorizerId",
            "authorizationScopes": "authorizationScopes",
            "apiKeyRequired": "apiKeyRequired",
            "operationName": "operationName",
            "requestModels": "requestModels",
            "requestParameters": "requestParameters",
            "requestValidatorId": "requestValidatorId",
        },
        create=_put_method,
    ),
    Kind(
        resource_type="aws:apigateway/methodResponse:MethodResponse",
        inputs={
            **_METHOD,
            "statusCode": "statusCode",
            "responseParameters": "responseParameters",
            "responseModels": "responseModels",
        },
        create=_put_method_response,
    ),
    Kind(
        resource_type="aws:apigateway/integration:Integration",
        inputs={
            **_METHOD,
            "type": "type",
            "integrationHttpMethod": "integrationHttpMethod",
            "uri": "uri",
            "credentials": "credentials",
            "connectionType": only("connectionType", "INTERNET"),
            "contentHandling": "contentHandling",
            "passthroughBehavior": "passthroughBehavior",
            "requestParameters": "requestParameters",
            "requestTemplates": "requestTemplates",
            "timeoutMilliseconds": "timeoutInMillis",
            "cacheKeyParameters": not_emulated("the emulator caches nothing"),
            "cacheNamespace": not_emulated("the emulator caches nothing"),
        },
        create=_put_integration,
    ),
    Kind(
        resource_type="aws:apigateway/integrationResponse:IntegrationResponse",
        inputs={
            **_METHOD,
            "statusCode": "statusCode",
            "selectionPattern": "selectionPattern",
            "responseParameters": "responseParameters",
            "responseTemplates": "responseTemplates",
            "contentHandling": "contentHandling",
        },
        create=_put_integration_response,
    ),
    Kind(
        resource_type="aws:apigateway/deployment:Deployment",
        inputs={
            "restApi": "restApiId",
            "description": "description",
            "variables": "variables",
            "triggers": OWN,  # used only by the engine's diff
        },
        create=_create_deployment,
    ),
    Kind(
        resource_type="aws:apigateway/stage:Stage",
        inputs={
            "restApi": "restApiId",
            "stageName": "stageName",
            "deployment": "deploymentId",
            "description": "description",
            "variables": "variables",
            "tags": "tags",
            "documentationVersion": "documentationVersion",
            "xrayTracingEnabled": not_emulated("the emulator has no X-Ray"),
            "accessLogSettings": not_emulated("the emulator writes no access logs"),
            "cacheClusterEnabled": only("", False),
        },
        outputs=("invokeUrl", "executionArn", "arn"),
        create=_create_stage,
    ),
    Kind(
        resource_type="aws:apigateway/methodSettings:MethodSettings",
        inputs={
            "restApi": OWN,
            "stageName": OWN,
            "methodPath": OWN,
            # Throttling is enforced; metrics, logs and caching are stored.
            "settings": Field(fields=dict.fromkeys(_SETTINGS, OWN)),
        },
        create=_put_settings,
    ),
    Kind(
        resource_type="aws:apigateway/apiKey:ApiKey",
        inputs={
            "name": OWN,
            "description": "description",
            "enabled": "enabled",
            "value": "value",
            "customerId": "customerId",
            "tags": "tags",
        },
        outputs=("value", "arn", "name"),
        create=_create_key,
    ),
    Kind(
        resource_type="aws:apigateway/usagePlan:UsagePlan",
        inputs={
            "name": OWN,
            "description": "description",
            "apiStages": nested(
                "apiStages",
                {
                    "apiId": "apiId",
                    "stage": "stage",
                    "throttles": Field(
                        to="throttle",
                        fields={"path": "path", "burstLimit": "burstLimit", "rateLimit": "rateLimit"},
                        convert=lambda limits: {
                            limit["path"]: {key: limit[key] for key in limit if key != "path"}
                            for limit in limits
                        },
                    ),
                },
            ),
            "quotaSettings": nested("quota", {"limit": "limit", "offset": "offset", "period": "period"}),
            "throttleSettings": nested("throttle", {"burstLimit": "burstLimit", "rateLimit": "rateLimit"}),
            "tags": "tags",
        },
        outputs=("arn", "name"),
        create=_create_plan,
    ),
    Kind(
        resource_type="aws:apigateway/usagePlanKey:UsagePlanKey",
        inputs={"usagePlanId": "usagePlanId", "keyId": "keyId", "keyType": "keyType"},
        create=_create_plan_key,
    ),
    Kind(
        resource_type="aws:apigateway/response:Response",
        inputs={
            "restApiId": "restApiId",
            "responseType": "responseType",
            "statusCode": text("statusCode"),
            "responseParameters": "responseParameters",
            "responseTemplates": "responseTemplates",
        },
        create=_put_gateway_response,
    ),
    Kind(
        resource_type="aws:apigateway/requestValidator:RequestValidator",
        inputs={
            "name": OWN,
            "restApi": "restApiId",
            "validateRequestBody": "validateRequestBody",
            "validateRequestParameters": "validateRequestParameters",
        },
        outputs=("name",),
        create=_create_validator,
    ),
    Kind(
        resource_type="aws:apigateway/model:Model",
        inputs={
            "name": OWN,
            "restApi": "restApiId",
            "contentType": "contentType",
            "schema": "schema",
            "description": "description",
        },
        outputs=("name",),
        create=_create_model,
    ),
    Kind(
        # Stored. The emulator serves requests for this machine's host names only.
        resource_type="aws:apigateway/domainName:DomainName",
        inputs={
            "domainName": "domainName",
            "certificateArn": "certificateArn",
            "regionalCertificateArn": "regionalCertificateArn",
            "securityPolicy": "securityPolicy",
            "endpointConfiguration": _ENDPOINT,
            "tags": "tags",
        },
        outputs=("arn", "regionalDomainName", "regionalZoneId"),
        create=_create_domain,
    ),
    Kind(
        resource_type="aws:apigateway/basePathMapping:BasePathMapping",
        inputs={
            "domainName": "domainName",
            "restApi": "restApiId",
            "stageName": "stage",
            "basePath": "basePath",
        },
        create=_create_mapping,
    ),
)
