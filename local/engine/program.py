"""Runs a Pulumi program in this process, without the Pulumi CLI and its engine.

The SDK sends its requests to a monitor object in this process. The monitor records every resource that the
program registers, and gets its physical id and outputs from a `Backend`. This module also does the CLI's
part: configuration, auto-naming, stack references and secret outputs. The same `__main__.py` runs with the
recorder of the unit tests and with the deployer of the embedded AWS.
"""

import asyncio
import contextlib
import contextvars
import gc
import hashlib
import linecache
import re
import runpy
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

import pulumi
from google.protobuf import empty_pb2, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import resource as sdk_resource
from pulumi.runtime import rpc
from pulumi.runtime.config import set_all_config
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import engine_pb2, resource_pb2, source_pb2
from pulumi.runtime.settings import SETTINGS, Settings, _get_rpc_manager, configure, reset_options
from pulumi.runtime.stack import run_in_stack

from local.engine.stack_config import StackConfig, load_stack_config
from local.environment import PROJECT_ROOT as PROJECT_ROOT
from local.errors import ProgramError as ProgramError

_STACK_TYPE: Final = "pulumi:pulumi:Stack"
_STACK_REFERENCE_TYPE: Final = "pulumi:pulumi:StackReference"
_WORKER_THREADS: Final = 16


class _UnknownType:
    """The type of UNKNOWN."""

    def __repr__(self) -> str:
        return "<unknown>"

    def __reduce__(self) -> str:
        return "UNKNOWN"  # copies and pickles are the same object


UNKNOWN: Final = _UnknownType()
"""The recorded input or output whose value a preview cannot compute."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One registered resource, custom or component.

    `inputs` are plain values under the provider's camelCase names. Whole numbers are ints. Secrets are
    unwrapped (`secret_inputs` names them). Archives and assets are the SDK's objects.
    """

    urn: str
    type: str
    name: str
    custom: bool
    parent: str  # URN, "" for the stack itself
    inputs: dict[str, Any]
    secret_inputs: frozenset[str]
    physical_name: str  # the name of auto-naming, used when the program sets none
    dependencies: tuple[str, ...]  # URNs
    property_dependencies: Mapping[str, tuple[str, ...]]
    provider: str  # URN of an explicit provider, else ""
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool
    ignore_changes: tuple[str, ...]
    aliases: tuple[str, ...]  # names or URNs
    additional_secret_outputs: tuple[str, ...]
    import_id: str
    # Set once the backend has created it.
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """The exports of a stack."""

    values: Mapping[str, Any]
    secret_names: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ProgramRun:
    """Everything that one run of a program declared, in the order of registration."""

    config: StackConfig
    preview: bool
    resources: tuple[Resource, ...]
    outputs: StackOutputs
    messages: tuple[str, ...]  # warnings and errors that the program logged

    def of_type(self, token: str) -> list[Resource]:
        """Returns the resources of one type, for example "aws:sqs/queue:Queue"."""
        return [resource for resource in self.resources if resource.type == token]

    def get(self, token: str, name: str) -> Resource:
        """Returns the resource of this type and logical name. Raises KeyError."""
        for resource in self.resources:
            if resource.type == token and resource.name == name:
                return resource
        raise KeyError(f"{token} {name}")

    def by_urn(self, urn: str) -> Resource:
        """Returns the resource with this URN. Raises KeyError."""
        for resource in self.resources:
            if resource.urn == urn:
                return resource
        raise KeyError(urn)

    def children(self, parent: Resource) -> list[Resource]:
        """Returns the resources whose direct parent is this one."""
        return [resource for resource in self.resources if resource.parent == parent.urn]


class Backend(Protocol):
    """Creates resources. Both methods are called from several threads at once."""

    def create(self, resource: Resource) -> tuple[str, Mapping[str, Any]]:
        """Creates a custom resource. Returns its physical id, and the outputs that are not inputs.

        Never called in a preview. An exception's text becomes the program's error.
        """
        ...

    def invoke(self, token: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the result of a provider function such as "aws:index/getRegion:getRegion"."""
        ...


def run_program(
    stack: str,
    backend: Backend,
    *,
    preview: bool = False,
    config: Mapping[str, Any] | None = None,
    root: Path = PROJECT_ROOT,
    stack_references: Mapping[str, StackOutputs] | None = None,
    on_resource: Callable[[Resource], None] | None = None,
) -> ProgramRun:
    """Runs the program of the project in `root` for `stack`.

    `config` overrides single values of the stack's configuration. `stack_references` holds the outputs that a
    StackReference may read, by its name (organization and project may be left out). `on_resource` is called
    with every resource once it exists. Raises ConfigError and ProgramError.
    """
    stack_config = load_stack_config(root.resolve(), stack, config)
    monitor = _Monitor(stack_config, backend, preview, stack_references or {}, on_resource)
    # The SDK keeps its state in context variables: each run needs a separate context.
    with _rare_garbage_collection():
        contextvars.copy_context().run(_run, stack_config, monitor, preview)
    return ProgramRun(
        config=stack_config,
        preview=preview,
        resources=tuple(monitor.records.values()),
        outputs=monitor.stack_outputs,
        messages=tuple(monitor.messages),
    )


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Runs the garbage collector less often.

    A run keeps half a million objects until its end. With Python's default threshold, collections take up to
    half of its time.
    """
    threshold, *others = gc.get_threshold()
    gc.set_threshold(50_000, *others)
    try:
        yield
    finally:
        gc.set_threshold(threshold, *others)


def _run(config: StackConfig, monitor: "_Monitor", preview: bool) -> None:
    reset_options()
    set_all_config(dict(config.values), [])
    configure(
        Settings(
            project=config.project,
            stack=config.stack,
            monitor=monitor,
            engine=_Engine(monitor.messages),
            dry_run=preview,
            organization="organization",
            root_directory=str(config.root),
        )
    )
    loop = asyncio.new_event_loop()
    # A failed resource fails every output that depends on it. asyncio would report each of them.
    loop.set_exception_handler(lambda _loop, _context: None)
    executor = ThreadPoolExecutor(_WORKER_THREADS, thread_name_prefix="pulumi")
    loop.set_default_executor(executor)
    main = config.program / "__main__.py"
    try:
        with _program_folder(config.program), _without_source_positions(), warnings.catch_warnings():
            # After a failure some outputs are never awaited.
            warnings.filterwarnings("ignore", r"coroutine 'Output\..*' was never awaited", RuntimeWarning)
            loop.run_until_complete(run_in_stack(lambda: _run_file(main)))
    except Exception as error:  # noqa: BLE001  any exception of the program is reported as its error
        failure = monitor.failure or _as_program_error(error, config.program)
        raise failure from failure.__cause__
    finally:
        monitor.stop()
        _close(loop, executor, failed=sys.exc_info()[0] is not None)
    if monitor.failure:
        raise monitor.failure


def _run_file(main: Path) -> None:
    if not main.is_file():
        raise ProgramError(f"There is no Pulumi program: {main} does not exist.")
    runpy.run_path(str(main), run_name="__main__")
    # The SDK awaits it with its own requests, after it has registered the exports.
    _get_rpc_manager().rpcs.append(asyncio.ensure_future(_wait_for_outputs()))


async def _wait_for_outputs() -> None:
    """Waits for all outputs together, or until one fails.

    After its requests the SDK waits for any one output, then again for the others. That grows with the
    square of their number, and took a sixth of a run.
    """
    while pending := [output for output in SETTINGS.outputs if not output.done()]:
        done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
        if any(output.cancelled() or output.exception() for output in done):
            return


@contextlib.contextmanager
def _without_source_positions() -> Iterator[None]:
    """Leaves out the lines of code that declare each resource, because the monitor does not read them.

    The SDK formats the whole call stack for each resource, which took a sixth of a run.
    """
    read_stack = sdk_resource._get_stack_trace
    sdk_resource._get_stack_trace = source_pb2.StackTrace
    try:
        yield
    finally:
        sdk_resource._get_stack_trace = read_stack


def _close(loop: asyncio.AbstractEventLoop, executor: ThreadPoolExecutor, *, failed: bool) -> None:
    with warnings.catch_warnings():
        # After a failure some of the SDK's coroutines are never awaited.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        del tasks
        if failed:
            gc.collect()
    executor.shutdown(wait=True, cancel_futures=True)
    loop.close()


@contextlib.contextmanager
def _program_folder(folder: Path) -> Iterator[None]:
    """Lets the program import its own modules and open its own files, as in a separate process."""
    evicted = {
        name: module
        for name, module in list(sys.modules.items())
        if _shadows(folder, name, module) and name != "__main__"
    }
    for name in evicted:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        if evicted:
            tops = {name.partition(".")[0] for name in evicted}
            for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
                del sys.modules[name]
            sys.modules.update(evicted)


def _shadows(folder: Path, name: str, module: Any) -> bool:
    """Returns whether a loaded module from elsewhere has the name of one of the program's modules."""
    top = name.partition(".")[0]
    if not ((folder / f"{top}.py").exists() or (folder / top).is_dir()):
        return False
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or [])]
    known = [Path(place).resolve() for place in places if place]
    return bool(known) and not any(place.is_relative_to(folder) for place in known)


def _as_program_error(error: Exception, folder: Path) -> ProgramError:
    """Returns one sentence for an exception of the program, with its place unless it is a RunError."""
    if isinstance(error, ProgramError):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, pulumi.RunError):
        return ProgramError(text)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder) and ".venv" not in Path(frame.filename).parts
    ]
    linecache.checkcache()
    where = f" ({Path(frames[-1].filename).relative_to(folder)}, line {frames[-1].lineno})" if frames else ""
    return ProgramError(f"{type(error).__name__}: {text}{where}")


class _Engine:
    """Takes the program's log messages in place of the CLI's terminal."""

    def __init__(self, messages: list[str]) -> None:
        self._messages = messages

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802  gRPC's name
        if request.severity in (engine_pb2.WARNING, engine_pb2.ERROR):
            self._messages.append(request.message)
        return empty_pb2.Empty()


class _Monitor(MockMonitor):
    """The resource monitor, which serves the SDK's requests. Its methods run in the executor's threads."""

    def __init__(
        self,
        config: StackConfig,
        backend: Backend,
        preview: bool,
        stack_references: Mapping[str, StackOutputs],
        on_resource: Callable[[Resource], None] | None,
    ) -> None:
        super().__init__(cast(Any, None))
        self.records: dict[str, Resource] = {}
        self.stack_outputs = StackOutputs(values={})
        self.messages: list[str] = []
        self.failure: ProgramError | None = None
        self._config = config
        self._backend = backend
        self._preview = preview
        self._stack_references = stack_references
        self._on_resource = on_resource
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Refuses all further requests, because the run has ended."""
        self._stopped = True

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parent_type = parent.split("::")[2] if parent else ""
        qualified = type_ if parent_type in ("", _STACK_TYPE) else f"{parent_type}${type_}"
        return f"urn:pulumi:{self._config.stack}::{self._config.project}::{qualified}::{name}"

    def RegisterResource(  # noqa: N802  gRPC's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == _STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        with self._failing(request.type, request.name):
            self._check_running()
            resource = self._record(urn, request)
            if not request.custom:
                self._report(resource)
                return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
            self._check_inputs_known(resource)
            if self._preview:
                return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
            resource_id, outputs = self._backend.create(resource)
            answer = struct_pb2.Struct()
            answer.CopyFrom(request.object)
            secret = {*resource.secret_inputs, *resource.additional_secret_outputs}
            for key, value in outputs.items():
                if value is not None:
                    answer[key] = rpc.wrap_rpc_secret(value) if key in secret else value
            plain, _ = plain_properties(answer)
            finished = _replace(resource, id=resource_id, outputs=plain)
            with self._lock:
                self.records[urn] = finished
            self._report(finished)
            # `unknown` makes an output that the backend did not return unknown instead of None.
            return resource_pb2.RegisterResourceResponse(urn=urn, id=resource_id, object=answer, unknown=True)

    def ReadResource(  # noqa: N802  gRPC's name
        self, request: resource_pb2.ReadResourceRequest
    ) -> resource_pb2.ReadResourceResponse:
        with self._failing(request.type, request.name):
            if request.type != _STACK_REFERENCE_TYPE:
                raise ProgramError("the embedded AWS cannot read existing resources (`.get`)")
            known = self._referenced(request.id)
            answer = struct_pb2.Struct()
            answer["name"] = request.id
            answer["outputs"] = {
                name: rpc.wrap_rpc_secret(value) if name in known.secret_names else value
                for name, value in known.values.items()
            }
            answer["secretOutputNames"] = sorted(known.secret_names)
            urn = self.make_urn(request.parent, request.type, request.name)
            return resource_pb2.ReadResourceResponse(urn=urn, properties=answer)

    def Invoke(  # noqa: N802  gRPC's name
        self, request: resource_pb2.ResourceInvokeRequest
    ) -> resource_pb2.ResourceInvokeResponse:
        with self._failing(request.tok, ""):
            args, _ = plain_properties(request.args)
            answer = struct_pb2.Struct()
            answer.update(dict(self._backend.invoke(request.tok, args)))
            return resource_pb2.ResourceInvokeResponse(**{"return": answer})

    def RegisterResourceOutputs(  # noqa: N802  gRPC's name
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        outputs, secret = plain_properties(request.outputs)
        if f"::{_STACK_TYPE}::" in request.urn:
            with self._failing(_STACK_TYPE, "outputs"):
                self._check_exports_known(outputs)
                self.stack_outputs = StackOutputs(values=outputs, secret_names=secret)
        else:
            with self._lock:
                resource = self.records.get(request.urn)
                if resource is not None:
                    self.records[request.urn] = _replace(resource, outputs=outputs)
        return empty_pb2.Empty()

    def RegisterStackTransform(self, request: Any) -> empty_pb2.Empty:  # noqa: ARG002, N802
        raise ProgramError("The embedded AWS does not support stack transforms.")

    def _record(self, urn: str, request: resource_pb2.RegisterResourceRequest) -> Resource:
        inputs, secret = plain_properties(request.object)
        resource = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=request.custom,
            parent=request.parent,
            inputs=inputs,
            secret_inputs=secret,
            physical_name=physical_name(self._config, urn, request.name),
            dependencies=tuple(request.dependencies),
            property_dependencies={
                key: tuple(value.urns) for key, value in request.propertyDependencies.items()
            },
            provider=request.provider.rpartition("::")[0],
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            ignore_changes=tuple(request.ignoreChanges),
            aliases=tuple(alias.urn or alias.spec.name for alias in request.aliases),
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            import_id=request.importId,
        )
        with self._lock:
            if urn in self.records:
                raise ProgramError(f"duplicate resource URN {urn}; choose another name")
            self.records[urn] = resource
        return resource

    def _check_running(self) -> None:
        if self._stopped or self.failure:
            raise ProgramError("not created, because the run has failed before")

    def _report(self, resource: Resource) -> None:
        if self._on_resource:
            self._on_resource(resource)

    def _check_inputs_known(self, resource: Resource) -> None:
        """Raises ProgramError in an update for an input from an output that the backend did not return."""
        if self._preview:
            return
        for key, value in resource.inputs.items():
            if _holds_unknown(value):
                raise ProgramError(f"its input `{key}` depends on {self._missing_outputs(resource, key)}")

    def _missing_outputs(self, resource: Resource, key: str) -> str:
        """Names the resources that an unknown input depends on, with the outputs that they have."""
        found = []
        for urn in resource.property_dependencies.get(key, ()):
            source = self.records.get(urn)
            if source is not None and source.custom:
                found.append(f"{source.type} '{source.name}' (it has {sorted(source.outputs)})")
        return "an output that is missing from " + (" or ".join(found) or "all resources")

    def _check_exports_known(self, outputs: Mapping[str, Any]) -> None:
        unknown = sorted(name for name, value in outputs.items() if _holds_unknown(value))
        if unknown and not self._preview and not self.failure:
            raise ProgramError(f"exports that use missing outputs of resources: {', '.join(unknown)}")

    def _referenced(self, name: str) -> StackOutputs:
        for known, outputs in self._stack_references.items():
            if name == known or name.endswith(f"/{known}") or known.endswith(f"/{name}"):
                return outputs
        raise ProgramError(
            f"there is no stack {name!r}; there are: {', '.join(sorted(self._stack_references)) or 'none'}"
        )

    @contextlib.contextmanager
    def _failing(self, type_: str, name: str) -> Iterator[None]:
        """Keeps the first failure, with the name of the resource. Later failures are its consequences."""
        try:
            yield
        except Exception as error:
            with self._lock:
                if not self.failure:
                    label = f"{type_} '{name}'" if name else type_
                    text = " ".join(str(error).split()) or type(error).__name__
                    self.failure = ProgramError(f"{label}: {text}")
                    self.failure.__cause__ = error
            raise


def physical_name(config: StackConfig, urn: str, name: str) -> str:
    """Returns the name of auto-naming. Its random part is derived from the URN, so it is stable."""
    digest = hashlib.sha256(urn.encode()).hexdigest()
    number = int(digest, 16)

    def drawn(alphabet: str, count: int) -> str:
        return "".join(
            alphabet[(number // len(alphabet) ** position) % len(alphabet)] for position in range(count)
        )

    alphabets = {
        "hex": "0123456789abcdef",
        "alphanum": "0123456789abcdefghijklmnopqrstuvwxyz",
        "string": "abcdefghijklmnopqrstuvwxyz",
        "num": "0123456789",
    }
    plain = {"name": name, "stack": config.stack, "project": config.project}

    def substitute(match: re.Match[str]) -> str:
        word, count = match["word"], match["count"]
        if count is None and word in plain:
            return plain[word]
        if count is not None and word in alphabets:
            return drawn(alphabets[word], int(count))
        raise ProgramError(f"pulumi:autonaming uses {match[0]}, which is not supported.")

    return re.sub(r"\$\{(?P<word>\w+)(?:\((?P<count>\d+)\))?\}", substitute, config.name_pattern)


def _replace(resource: Resource, **changes: Any) -> Resource:
    return Resource(**{**resource.__dict__, **changes})


def _holds_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_unknown(item) for item in value)
    return value is UNKNOWN


def plain_properties(properties: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[str]]:
    """Returns the properties as plain Python, and the names of those that contain a secret."""
    plain: dict[str, Any] = {}
    secret = set()
    for key, value in properties.fields.items():
        found: list[bool] = []
        plain[key] = _plain(value, found)
        if found:
            secret.add(key)
    return {key: value for key, value in plain.items() if value is not None}, frozenset(secret)


def _plain(value: struct_pb2.Value, secrets: list[bool]) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_plain(item, secrets) for item in value.list_value.values]
        case "struct_value":
            return _plain_struct(value.struct_value, secrets)
    return None


def _plain_struct(struct: struct_pb2.Struct, secrets: list[bool]) -> Any:
    signature = struct.fields[rpc._special_sig_key].string_value if rpc._special_sig_key in struct else ""
    if not signature:
        return {key: _plain(item, secrets) for key, item in struct.fields.items()}
    if signature == rpc._special_secret_sig:
        secrets.append(True)
        return _plain(struct.fields["value"], secrets)
    if signature == rpc._special_resource_sig:
        return _plain(struct.fields["id" if "id" in struct else "urn"], secrets)
    if signature == rpc._special_asset_sig:
        if "path" in struct:
            return pulumi.FileAsset(struct.fields["path"].string_value)
        if "text" in struct:
            return pulumi.StringAsset(struct.fields["text"].string_value)
    if signature == rpc._special_archive_sig:
        if "path" in struct:
            return pulumi.FileArchive(struct.fields["path"].string_value)
        if "assets" in struct:
            return pulumi.AssetArchive(_plain(struct.fields["assets"], secrets))
    raise ProgramError("the embedded AWS does not support assets and archives from a URL")


__all__: Sequence[str] = (
    "PROJECT_ROOT",
    "UNKNOWN",
    "Backend",
    "ProgramError",
    "ProgramRun",
    "Resource",
    "StackOutputs",
    "physical_name",
    "plain_properties",
    "run_program",
)
