"""A backend for tests of the program: it creates nothing, and invents ids, ARNs and outputs.

With `run_program(..., preview=True)` computed outputs are unknown.
"""

import threading
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from pulumi import _types

from local.engine.invokes import answer_invoke
from local.engine.program import Resource
from local.engine.sdk_types import arguments_class, resource_class

ACCOUNT_ID: Final = "123456789012"
REGION: Final = "eu-west-1"

# ARNs other than `arn:aws:<service>:<region>:<account>:<name>`. $R region, $A account, $N name, $I id.
_ARNS: Final[Mapping[str, str]] = {
    "aws:apigateway/apiKey:ApiKey": "arn:aws:apigateway:$R::/apikeys/$I",
    "aws:apigateway/domainName:DomainName": "arn:aws:apigateway:$R::/domainnames/$N",
    "aws:apigateway/restApi:RestApi": "arn:aws:apigateway:$R::/restapis/$I",
    "aws:apigateway/usagePlan:UsagePlan": "arn:aws:apigateway:$R::/usageplans/$I",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "arn:aws:cloudwatch:$R:$A:alarm:$N",
    "aws:cloudwatch/eventBus:EventBus": "arn:aws:events:$R:$A:event-bus/$N",
    "aws:cloudwatch/eventRule:EventRule": "arn:aws:events:$R:$A:rule/$N",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:$R:$A:log-group:$N",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "arn:aws:cloudwatch:$R:$A:alarm:$N",
    "aws:dynamodb/table:Table": "arn:aws:dynamodb:$R:$A:table/$N",
    "aws:iam/policy:Policy": "arn:aws:iam::$A:policy/$N",
    "aws:iam/role:Role": "arn:aws:iam::$A:role/$N",
    "aws:lambda/eventSourceMapping:EventSourceMapping": "arn:aws:lambda:$R:$A:event-source-mapping:$I",
    "aws:lambda/function:Function": "arn:aws:lambda:$R:$A:function:$N",
    "aws:lambda/layerVersion:LayerVersion": "arn:aws:lambda:$R:$A:layer:$N:1",
    "aws:scheduler/schedule:Schedule": "arn:aws:scheduler:$R:$A:schedule/$N",
    "aws:scheduler/scheduleGroup:ScheduleGroup": "arn:aws:scheduler:$R:$A:schedule-group/$N",
    "aws:secretsmanager/secret:Secret": "arn:aws:secretsmanager:$R:$A:secret:$N-AbCdEf",
    "aws:sfn/stateMachine:StateMachine": "arn:aws:states:$R:$A:stateMachine:$N",
    "aws:wafv2/webAcl:WebAcl": "arn:aws:wafv2:$R:$A:regional/webacl/$N/$I",
}
# Ids that are not the name.
_IDS: Final[Mapping[str, str]] = {
    "aws:lambda/layerVersion:LayerVersion": "$ARN",
    "aws:secretsmanager/secret:Secret": "$ARN",
    "aws:sfn/stateMachine:StateMachine": "$ARN",
    "aws:sns/topic:Topic": "$ARN",
    "aws:sqs/queue:Queue": "https://sqs.$R.amazonaws.com/$A/$N",
}
# Types whose ids AWS generates.
_GENERATED_ID: Final = frozenset(
    {
        "aws:apigateway/apiKey:ApiKey",
        "aws:apigateway/deployment:Deployment",
        "aws:apigateway/resource:Resource",
        "aws:apigateway/restApi:RestApi",
        "aws:apigateway/usagePlan:UsagePlan",
        "aws:apigateway/usagePlanKey:UsagePlanKey",
        "aws:lambda/permission:Permission",
    }
)
_NAME_KEYS: Final = ("name", "layerName", "stageName", "dashboardName", "domainName", "alarmName")


class Recorder:
    """Invents the id and outputs of every resource.

    `paths` are those of API resources from an earlier run, by their ids.
    """

    def __init__(
        self,
        *,
        region: str = REGION,
        account_id: str = ACCOUNT_ID,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        self.region = region
        self.account_id = account_id
        self._paths = dict(paths or {})  # API resource id -> path
        self._lock = threading.Lock()

    def create(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        """Returns an id, and a value for every output that the provider computes.

        An optional input that is not set has no value: a program that depends on it fails.
        """
        inputs = resource.inputs
        name = next((str(inputs[key]) for key in _NAME_KEYS if inputs.get(key)), resource.physical_name)
        generated = uuid.uuid5(uuid.NAMESPACE_URL, resource.urn)
        identity = generated.hex[:10] if resource.type in _GENERATED_ID else name
        arn = self._fill(_ARNS.get(resource.type, f"arn:aws:{_service(resource)}:$R:$A:$N"), name, identity)
        if resource.type in _IDS:
            identity = self._fill(_IDS[resource.type].replace("$ARN", arn), name, identity)
        declared = _declared_outputs(resource.type)
        known = {"name": name, "arn": arn, "tagsAll": inputs.get("tags", {}), "region": self.region}
        outputs = {
            key: known[key] if key in known else _plausible(kind, key, name)
            for key, kind in declared.items()
            if (key in known and key not in inputs) or key not in _possible_inputs(resource.type)
        }
        special = _SPECIAL.get(resource.type)
        if special:
            outputs |= special(self, resource, identity, arn)
        return identity, {key: value for key, value in outputs.items() if value is not None}

    def invoke(self, token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the result of a provider function, for the recorder's account and region."""
        return answer_invoke(token, args, account_id=self.account_id, region=self.region)

    def _fill(self, pattern: str, name: str, identity: str) -> str:
        return (
            pattern.replace("$R", self.region)
            .replace("$A", self.account_id)
            .replace("$N", name)
            .replace("$I", identity)
        )

    def _queue(self, _resource: Resource, identity: str, _arn: str) -> dict[str, Any]:
        return {"url": identity}

    def _function(self, resource: Resource, _identity: str, arn: str) -> dict[str, Any]:
        version = "1" if resource.inputs.get("publish") else "$LATEST"
        return {
            "invokeArn": self._invoke_arn(arn),
            "version": version,
            "qualifiedArn": f"{arn}:{version}",
            "qualifiedInvokeArn": self._invoke_arn(f"{arn}:{version}"),
        }

    def _alias(self, resource: Resource, _identity: str, _arn: str) -> dict[str, Any]:
        function = resource.inputs["functionName"].rpartition(":")[2]
        arn = f"arn:aws:lambda:{self.region}:{self.account_id}:function:{function}:{resource.inputs['name']}"
        return {"arn": arn, "invokeArn": self._invoke_arn(arn)}

    def _invoke_arn(self, arn: str) -> str:
        return f"arn:aws:apigateway:{self.region}:lambda:path/2015-03-31/functions/{arn}/invocations"

    def _layer(self, _resource: Resource, _identity: str, arn: str) -> dict[str, Any]:
        return {"layerArn": arn.rpartition(":")[0], "version": "1"}

    def _api(self, _resource: Resource, identity: str, _arn: str) -> dict[str, Any]:
        root = f"root{identity[:6]}"
        with self._lock:
            self._paths[root] = ""
        return {
            "rootResourceId": root,
            "executionArn": f"arn:aws:execute-api:{self.region}:{self.account_id}:{identity}",
        }

    def _api_resource(self, resource: Resource, identity: str, _arn: str) -> dict[str, Any]:
        with self._lock:
            path = f"{self._paths.get(resource.inputs['parentId'], '')}/{resource.inputs['pathPart']}"
            self._paths[identity] = path
        return {"path": path}

    def _stage(self, resource: Resource, _identity: str, _arn: str) -> dict[str, Any]:
        api, stage = resource.inputs["restApi"], resource.inputs["stageName"]
        return {
            "arn": f"arn:aws:apigateway:{self.region}::/restapis/{api}/stages/{stage}",
            "invokeUrl": f"https://{api}.execute-api.{self.region}.amazonaws.com/{stage}",
            "executionArn": f"arn:aws:execute-api:{self.region}:{self.account_id}:{api}/{stage}",
        }


_SPECIAL: Final[Mapping[str, Callable[[Recorder, Resource, str, str], dict[str, Any]]]] = {
    "aws:apigateway/resource:Resource": Recorder._api_resource,
    "aws:apigateway/restApi:RestApi": Recorder._api,
    "aws:apigateway/stage:Stage": Recorder._stage,
    "aws:lambda/alias:Alias": Recorder._alias,
    "aws:lambda/function:Function": Recorder._function,
    "aws:lambda/layerVersion:LayerVersion": Recorder._layer,
    "aws:sqs/queue:Queue": Recorder._queue,
}


def _service(resource: Resource) -> str:
    return resource.type.split(":")[1].partition("/")[0]


def _declared_outputs(token: str) -> Mapping[str, Any]:
    found = resource_class(token)
    return _types.resource_types(found) if found else {}


def _possible_inputs(token: str) -> frozenset[str]:
    found = arguments_class(token)
    return frozenset(_types._raw_return_hints(found)) if found else frozenset()


def _plausible(kind: Any, key: str, name: str) -> Any:
    """Returns a value of the declared type, or None for objects."""
    kind = _types.unwrap_optional_type(kind)
    origin = typing.get_origin(kind)
    if kind is str:
        return f"{name}-{key}"
    if kind is bool:
        return False
    if kind in (int, float):
        return 0
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {}
    return None


__all__ = ("ACCOUNT_ID", "REGION", "Recorder")
