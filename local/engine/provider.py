"""A provider plugin for the Pulumi engine that replaces the AWS provider: `pulumi-resource-aws`.

Tests run the programs with it under the Pulumi CLI. It creates nothing on AWS. It serves `ResourceProvider`
on a free port of 127.0.0.1 and prints the port. The account is a SQLite file; the environment variable
ORDERFLOW_ACCOUNT has its path.

As the AWS provider does, it refuses inputs that the SDK does not declare, and names resources automatically.
It decides which changes replace a resource, and returns computed outputs.
"""

import contextlib
import dataclasses
import functools
import inspect
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi import _types
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.engine.input_check import check_inputs
from local.engine.invokes import answer_invoke
from local.engine.program import Resource, plain_properties
from local.engine.provider_account import Account, AccountError, logical_name
from local.engine.provider_replacements import replacing_properties
from local.engine.recorder import ACCOUNT_ID, Recorder
from local.engine.sdk_types import arguments_class, resource_class

ACCOUNT_FILE: Final = "ORDERFLOW_ACCOUNT"
"""The environment variable with the path of the account's file."""

_DEFAULTS: Final = "__defaults"
"""The property in which the AWS provider lists the inputs that it has set."""
_API_RESOURCE: Final = "aws:apigateway/resource:Resource"
_FUNCTION: Final = "aws:lambda/function:Function"
_LAYER: Final = "aws:lambda/layerVersion:LayerVersion"
# Inputs that AWS generates when the program sets none.
_GENERATED: Final = {"aws:apigateway/apiKey:ApiKey": ("value",)}
_WORKERS: Final = 16
_PARENT_CHECK_INTERVAL: Final = 0.2  # seconds

Properties = dict[str, Any]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one account. The engine calls the methods from several threads at once.

    Protocol: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._recorder = Recorder()

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:  # noqa: N802, ARG002
        """Accepts the provider's configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:  # noqa: N802
        """Fails for a change of the region, and ignores other changes."""
        if request.old_inputs != request.news and _properties(request.old_inputs).get(
            "region"
        ) != _properties(request.news).get("region"):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "a change of the region is not supported")
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:  # noqa: N802
        """Takes the region from the configuration or from AWS_REGION."""
        region = _properties(request.args).get("region") or os.environ.get("AWS_REGION")
        if not region:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "missing region: run `pulumi config set aws:region REGION`"
            )
        self._recorder = Recorder(region=str(region), paths=self._paths())
        return provider_pb2.ConfigureResponse(
            acceptSecrets=False, supportsPreview=True, supports_autonaming_configuration=True
        )

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:  # noqa: N802, ARG002
        """Returns a made-up version."""
        return plugin_pb2.PluginInfo(version="0.0.0")

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802, ARG002
        """Does nothing: no call takes long."""
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:  # noqa: N802
        """Returns the result of a provider function."""
        args, _ = plain_properties(request.args)
        try:
            answer = answer_invoke(request.tok, args, account_id=ACCOUNT_ID, region=self._recorder.region)
        except LookupError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.tok}: {error}")
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:  # noqa: N802, ARG002
        """Sets the automatic name, and returns the mistakes in the inputs."""
        token = _token(request.urn)
        news, olds = _properties(request.news), _properties(request.olds)
        if _is_named_automatically(token) and "name" not in news:
            named = "name" in olds.get(_DEFAULTS, [])
            news["name"] = olds["name"] if named else _proposed_name(request)
            news[_DEFAULTS] = ["name"]
        resource = _resource(request.urn, _struct(news))
        failures = [provider_pb2.CheckFailure(reason=mistake) for mistake in check_inputs([resource])]
        return provider_pb2.CheckResponse(inputs=_struct(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:  # noqa: N802, ARG002
        """Returns the changed inputs, and whether they replace the resource."""
        olds, news = _properties(request.old_inputs), _properties(request.news)
        changed = sorted(changed_inputs(olds, news))
        replaces = [key for key in changed if key in replacing_properties(_token(request.urn))]
        detailed = {
            key: provider_pb2.PropertyDiff(kind=_kind(key, olds, news, key in replaces), inputDiff=True)
            for key in changed
        }
        # As the AWS provider: the new resource cannot have the name of the old one while that exists.
        own_name = "name" in news and "name" not in news.get(_DEFAULTS, [])
        return provider_pb2.DiffResponse(
            changes=(provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE),
            diffs=changed,
            replaces=replaces,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and own_name and "name" not in changed,
        )

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:  # noqa: N802
        """Creates a resource; in a preview, returns its outputs with the computed ones unknown."""
        inputs = _properties(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=_struct(_unknown_outputs(request.urn, inputs)))
        token = _token(request.urn)
        resource = _resource(request.urn, request.properties)
        resource_id, computed = self._recorder.create(dataclasses.replace(resource, urn=uuid.uuid4().urn))
        if token == _LAYER:
            resource_id, computed = self._next_version(resource_id, computed)
        generated = {key: uuid.uuid4().hex for key in _GENERATED.get(token, ())}
        outputs = generated | inputs | dict(computed)
        self.account.record("create", token, request.urn, resource_id, inputs)
        with _account_errors_as_call_errors(context):
            self.account.create(token, resource_id, request.urn, inputs, outputs)
        return provider_pb2.CreateResponse(id=resource_id, properties=_struct(outputs))

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:  # noqa: N802
        """Changes a resource in place, unless this is a preview."""
        inputs, old_inputs = _properties(request.news), _properties(request.old_inputs)
        computed = {key: value for key, value in _properties(request.olds).items() if key not in old_inputs}
        outputs = computed | inputs
        if "tagsAll" in outputs:
            outputs["tagsAll"] = inputs.get("tags", {})
        token = _token(request.urn)
        if token == _FUNCTION and inputs.get("publish"):
            outputs |= _next_published_version(outputs, preview=request.preview)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=_struct(outputs))
        self.account.record("update", token, request.urn, request.id, inputs, old_inputs)
        with _account_errors_as_call_errors(context):
            self.account.change(token, request.id, inputs, outputs)
        return provider_pb2.UpdateResponse(properties=_struct(outputs))

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802
        """Deletes a resource."""
        token = _token(request.urn)
        self.account.record("delete", token, request.urn, request.id)
        with _account_errors_as_call_errors(context):
            self.account.delete(token, request.id)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:  # noqa: N802, ARG002
        """Returns a resource, or an empty response when it does not exist."""
        token = _token(request.urn)
        self.account.record("read", token, request.urn, request.id)
        stored = self.account.get(token, request.id)
        if stored is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=stored.id, properties=_struct(stored.outputs), inputs=_struct(stored.inputs)
        )

    def _paths(self) -> dict[str, str]:
        """Returns the path of each resource of the account's APIs, by its id."""
        stored = self.account.resources()
        roots = {
            str(found.outputs["rootResourceId"]): "" for found in stored if "rootResourceId" in found.outputs
        }
        return roots | {
            found.id: str(found.outputs["path"]) for found in stored if found.type == _API_RESOURCE
        }

    def _next_version(self, resource_id: str, computed: Mapping[str, Any]) -> tuple[str, Properties]:
        """Returns the id and outputs of a layer's next version."""
        number = str(self.account.number_of_calls(_LAYER) + 1)
        arn = f"{resource_id.rpartition(':')[0]}:{number}"
        return arn, {**computed, "arn": arn, "version": number}


@contextlib.contextmanager
def _account_errors_as_call_errors(context: Any) -> Iterator[None]:
    try:
        yield
    except AccountError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))


def serve(provider: Provider, engine: int) -> None:
    """Serves the provider until the process `engine` has ended."""
    server = grpc.server(
        ThreadPoolExecutor(_WORKERS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    threading.Thread(target=_exit_after, args=(engine,), daemon=True).start()
    server.wait_for_termination()


def main() -> None:
    """Serves the account of ORDERFLOW_ACCOUNT until the parent process has ended."""
    engine = os.getppid()
    serve(Provider(Account(Path(os.environ[ACCOUNT_FILE]))), engine)


def _exit_after(engine: int) -> None:
    while os.getppid() == engine:
        time.sleep(_PARENT_CHECK_INTERVAL)
    os._exit(0)


def changed_inputs(olds: Mapping[str, Any], news: Mapping[str, Any]) -> frozenset[str]:
    """Returns the names of the inputs that differ. Archives differ when their contents do."""
    return frozenset(
        key
        for key in {*olds, *news} - {_DEFAULTS}
        if _comparable(olds.get(key)) != _comparable(news.get(key))
    )


def _token(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _proposed_name(request: Any) -> str:
    proposed = request.autonaming.proposed_name
    return str(proposed) if proposed else f"{logical_name(request.urn)}-{uuid.uuid4().hex[:7]}"


@functools.cache
def _is_named_automatically(token: str) -> bool:
    """Returns whether the resource has an optional `name`."""
    declared = arguments_class(token)
    parameter = inspect.signature(declared.__init__).parameters.get("name") if declared else None
    return parameter is not None and parameter.default is not parameter.empty


def _resource(urn: str, properties: struct_pb2.Struct) -> Resource:
    inputs, secret = plain_properties(properties)
    inputs.pop(_DEFAULTS, None)
    drawn = uuid.uuid5(uuid.NAMESPACE_URL, urn).hex
    return Resource(
        urn=urn,
        type=_token(urn),
        name=logical_name(urn),
        custom=True,
        parent="",
        inputs=inputs,
        secret_inputs=secret,
        physical_name=str(inputs.get("name") or drawn[:12]),
        dependencies=(),
        property_dependencies={},
        provider="",
        protect=False,
        retain_on_delete=False,
        delete_before_replace=False,
        ignore_changes=(),
        aliases=(),
        additional_secret_outputs=(),
        import_id="",
    )


def _unknown_outputs(urn: str, inputs: Mapping[str, Any]) -> Properties:
    """Returns the inputs, and the computed outputs as unknown."""
    token = _token(urn)
    declared, arguments = resource_class(token), arguments_class(token)
    outputs = _types.resource_types(declared) if declared else {}
    settable = _types._raw_return_hints(arguments) if arguments else {}
    computed = [key for key in outputs if key not in settable]
    return dict.fromkeys([*computed, *_GENERATED.get(token, ())], rpc.UNKNOWN) | dict(inputs)


def _next_published_version(outputs: Properties, *, preview: bool) -> Properties:
    """Returns the outputs of a function that publishes a version with this update."""
    if preview:
        return dict.fromkeys(("version", "qualifiedArn", "qualifiedInvokeArn"), rpc.UNKNOWN)
    before, arn = outputs["version"], outputs["arn"]
    version = str(int(before) + 1) if before.isdecimal() else "1"
    qualified = f"{arn}:{version}"
    invoked = outputs["invokeArn"].replace(arn, qualified)
    return {"version": version, "qualifiedArn": qualified, "qualifiedInvokeArn": invoked}


def _kind(key: str, olds: Properties, news: Properties, replaces: bool) -> Any:
    word = "ADD" if key not in olds else "DELETE" if key not in news else "UPDATE"
    return provider_pb2.PropertyDiff.Kind.Value(f"{word}_REPLACE" if replaces else word)


def _comparable(value: Any) -> Any:
    """Returns a value with the hashes of assets and archives in place of their paths."""
    if isinstance(value, dict):
        signature = value.get(rpc._special_sig_key)
        if signature in (rpc._special_asset_sig, rpc._special_archive_sig):
            return value["hash"]
        return {key: _comparable(item) for key, item in value.items()}
    return [_comparable(item) for item in value] if isinstance(value, list) else value


def _properties(struct: struct_pb2.Struct) -> Properties:
    """Returns the properties as JSON, with assets and archives but without nulls."""
    found: Properties = json_format.MessageToDict(struct)
    return {key: value for key, value in found.items() if value is not None}


def _struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    json_format.ParseDict(dict(properties), struct)
    return struct


if __name__ == "__main__":
    main()
