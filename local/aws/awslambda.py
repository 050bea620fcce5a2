"""Lambda functions, layers, permissions and event source mappings.

A Python function is deployed as a custom runtime. Its bootstrap runs AWS's own runtime client in this
process's interpreter. The emulator's Python runtime would report every exception as `Runtime.HandlerError`,
which no Catch of a state machine matches. Third-party packages come from the same interpreter: a layer is
published but not imported.
"""

import shlex
import sys
from collections.abc import Mapping
from typing import Any, Final

from local.aws.archives import zip_archive
from local.aws.core import (
    OWN,
    Created,
    Creation,
    DeployError,
    Field,
    Kind,
    nested,
    not_emulated,
    only,
    without_empty,
)

_BOOTSTRAP: Final = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -u -m awslambdaric "$_HANDLER"\n'.encode()
_RUNTIME: Final = "provided.al2023"


def _create_function(call: Creation) -> Created:
    name, client, inputs = call.name(), call.client("lambda"), call.inputs
    runtime = str(inputs.get("runtime", ""))
    if not runtime.startswith("python"):
        raise DeployError(f"the embedded AWS runs Python functions only, not {runtime or 'images'!r}")
    if inputs.get("code") is None:
        raise DeployError("the embedded AWS takes a function's code from `code` only")
    code = zip_archive(inputs["code"], call.cloud.root, {"bootstrap": _BOOTSTRAP})
    params = without_empty(call.params)
    variables = {**_log_settings(params), **params.get("Environment", {}).get("Variables", {})}
    answer = client.create_function(
        FunctionName=name,
        Runtime=_RUNTIME,
        Code={"ZipFile": code},
        **params | {"Environment": {"Variables": variables}},
    )
    reserved = inputs.get("reservedConcurrentExecutions", -1)
    if reserved >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    arn = answer["FunctionArn"]
    version = answer["Version"] if inputs.get("publish") else "$LATEST"
    return name, {
        "name": name,
        "arn": arn,
        "invokeArn": _invoke_arn(call, arn),
        "version": version,
        "qualifiedArn": f"{arn}:{version}",
        "qualifiedInvokeArn": _invoke_arn(call, f"{arn}:{version}"),
        "lastModified": answer["LastModified"],
        "sourceCodeSize": answer["CodeSize"],
        "codeSha256": answer["CodeSha256"],
        "runtime": runtime,
    }


def _log_settings(params: Mapping[str, Any]) -> dict[str, str]:
    """Returns the variables that configure the runtime client's log. Lambda sets them, the emulator does not.

    The runtime client puts the level on the root logger:
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html
    """
    logging = params.get("LoggingConfig", {})
    if logging.get("LogFormat") != "JSON":
        return {"AWS_LAMBDA_LOG_FORMAT": "Text"}
    return {
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": logging.get("ApplicationLogLevel", "INFO"),
    }


def _invoke_arn(call: Creation, arn: str) -> str:
    """Returns the ARN under which API Gateway invokes a function."""
    cloud = call.cloud
    return (
        f"arn:{cloud.partition}:apigateway:{cloud.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    )


def _publish_layer(call: Creation) -> Created:
    code = zip_archive(call.inputs["code"], call.cloud.root)
    answer = call.client("lambda").publish_layer_version(
        Content={"ZipFile": code}, **without_empty(call.params)
    )
    arn = answer["LayerVersionArn"]
    return arn, {
        "arn": arn,
        "layerArn": answer["LayerArn"],
        "version": str(answer["Version"]),
        "createdDate": answer["CreatedDate"],
        "codeSha256": answer["Content"]["CodeSha256"],
        "sourceCodeSize": answer["Content"]["CodeSize"],
    }


def _add_permission(call: Creation) -> Created:
    statement = call.inputs.get("statementId") or call.resource.physical_name
    call.client("lambda").add_permission(StatementId=statement, **call.params)
    return statement, {"statementId": statement}


def _create_mapping(call: Creation) -> Created:
    answer = call.client("lambda").create_event_source_mapping(**without_empty(call.params))
    return answer["UUID"], {
        "uuid": answer["UUID"],
        "functionArn": answer["FunctionArn"],
        "arn": call.cloud.arn("lambda", f"event-source-mapping:{answer['UUID']}"),
        "state": answer["State"],
    }


def _create_alias(call: Creation) -> Created:
    answer = call.client("lambda").create_alias(**call.params)
    arn = answer["AliasArn"]
    return arn, {"arn": arn, "invokeArn": _invoke_arn(call, arn)}


def _put_provisioned_concurrency(call: Creation) -> Created:
    call.client("lambda").put_provisioned_concurrency_config(**call.params)
    return f"{call.inputs['functionName']},{call.inputs['qualifier']}", {}


def _put_invoke_config(call: Creation) -> Created:
    call.client("lambda").put_function_event_invoke_config(**without_empty(call.params))
    return str(call.inputs["functionName"]), {}


KINDS: Final = (
    Kind(
        resource_type="aws:lambda/function:Function",
        inputs={
            "name": OWN,
            "code": OWN,
            "runtime": OWN,
            "handler": "Handler",
            "role": "Role",
            "description": "Description",
            "timeout": "Timeout",
            "memorySize": "MemorySize",  # stored: a worker's memory is not limited
            "publish": "Publish",
            "packageType": only("PackageType", "Zip"),
            "environment": nested("Environment", {"variables": "Variables"}),
            "reservedConcurrentExecutions": OWN,
            "deadLetterConfig": nested("DeadLetterConfig", {"targetArn": "TargetArn"}),
            "loggingConfig": nested(
                "LoggingConfig",
                {
                    "logGroup": "LogGroup",
                    "logFormat": "LogFormat",
                    # Passed to the runtime client. A function's own prints are not filtered.
                    "applicationLogLevel": "ApplicationLogLevel",
                    "systemLogLevel": "SystemLogLevel",
                },
            ),
            "tags": "Tags",
            "skipDestroy": OWN,  # used only by a deletion
            "sourceCodeHash": OWN,  # used only by the engine's diff
            "architectures": not_emulated("workers run on this machine's processor"),
            "layers": not_emulated("packages come from the interpreter of `python -m local`"),
            "tracingConfig": not_emulated("the emulator has no X-Ray"),
            "snapStart": not_emulated("a worker starts without a snapshot"),
            "ephemeralStorage": not_emulated("workers write into the emulator's own folder"),
            "kmsKeyArn": not_emulated("environment variables are kept in memory"),
        },
        outputs=("arn", "name", "invokeArn", "qualifiedArn", "version"),
        create=_create_function,
    ),
    Kind(
        resource_type="aws:lambda/layerVersion:LayerVersion",
        inputs={
            "layerName": "LayerName",
            "code": OWN,
            "description": "Description",
            "compatibleRuntimes": "CompatibleRuntimes",
            "compatibleArchitectures": "CompatibleArchitectures",
            "licenseInfo": "LicenseInfo",
            "skipDestroy": OWN,  # used only by a deletion
            "sourceCodeHash": OWN,  # used only by the engine's diff
        },
        outputs=("arn", "layerArn", "version"),
        create=_publish_layer,
    ),
    Kind(
        # Stored. In the emulator, API Gateway and EventBridge invoke without it.
        resource_type="aws:lambda/permission:Permission",
        inputs={
            "statementId": OWN,
            "function": "FunctionName",
            "action": "Action",
            "principal": "Principal",
            "sourceArn": "SourceArn",
            "sourceAccount": "SourceAccount",
            "qualifier": "Qualifier",
        },
        create=_add_permission,
    ),
    Kind(
        resource_type="aws:lambda/alias:Alias",
        inputs={
            "name": "Name",
            "description": "Description",
            "functionName": "FunctionName",
            "functionVersion": "FunctionVersion",
        },
        outputs=("arn", "invokeArn"),
        create=_create_alias,
    ),
    Kind(
        # Stored. The emulator starts workers on demand only.
        resource_type="aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
        inputs={
            "functionName": "FunctionName",
            "qualifier": "Qualifier",
            "provisionedConcurrentExecutions": "ProvisionedConcurrentExecutions",
            "skipDestroy": OWN,  # used only by a deletion
        },
        create=_put_provisioned_concurrency,
    ),
    Kind(
        resource_type="aws:lambda/eventSourceMapping:EventSourceMapping",
        inputs={
            "eventSourceArn": "EventSourceArn",
            "functionName": "FunctionName",
            "enabled": "Enabled",
            "batchSize": "BatchSize",
            "functionResponseTypes": "FunctionResponseTypes",
            "scalingConfig": nested("ScalingConfig", {"maximumConcurrency": "MaximumConcurrency"}),
            "filterCriteria": nested(
                "FilterCriteria", {"filters": Field(to="Filters", fields={"pattern": "Pattern"})}
            ),
            "startingPosition": "StartingPosition",
            "bisectBatchOnFunctionError": "BisectBatchOnFunctionError",
            "maximumRetryAttempts": "MaximumRetryAttempts",
            "tags": "Tags",
            "maximumBatchingWindowInSeconds": not_emulated("the emulator delivers messages at once"),
            "metricsConfig": not_emulated("the emulator publishes no event source metrics"),
        },
        outputs=("uuid", "functionArn"),
        create=_create_mapping,
    ),
    Kind(
        resource_type="aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        inputs={
            "functionName": "FunctionName",
            "qualifier": "Qualifier",
            "maximumRetryAttempts": "MaximumRetryAttempts",
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "destinationConfig": nested(
                "DestinationConfig",
                {
                    "onFailure": nested("OnFailure", {"destination": "Destination"}),
                    "onSuccess": nested("OnSuccess", {"destination": "Destination"}),
                },
            ),
        },
        create=_put_invoke_config,
    ),
)
