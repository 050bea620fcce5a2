"""Starts the embedded AWS with the project deployed, or connects to a running one.

with running_stack() as stack:
    stack.client("dynamodb").scan(TableName=stack.outputs["tableNames"]["orders"])
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local.aws.emulator import (
    SECRET_ACCESS_KEY,
    Emulator,
    Endpoint,
    check_disk,
    first_free_port,
    is_alive,
    start_emulator,
    stop_group,
)
from local.aws.kept_data import KeptDataError, check_kept_data
from local.engine.stack_config import load_stack_config
from local.environment import PROJECT_ROOT

if TYPE_CHECKING:
    # Imported where a stack is deployed: a command that only finds the running stack needs none of it.
    from local.engine.program import ProgramRun, Resource, StackOutputs

# The commands share the one instance that is recorded here. Each folder allows one more instance.
STATE_FOLDER: Final = Path(os.environ.get("ORDERFLOW_STATE_FOLDER") or PROJECT_ROOT / ".local")
SIGNING_SECRET: Final = "fulfillment-signing"  # noqa: S105  (its name in the emulator's Secrets Manager)
_DEFAULT_REGION: Final = "us-east-1"


class StackError(Exception):
    """No stack runs, one runs already, or its data cannot be kept. The message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    """A deployed stack on a running emulator."""

    endpoint: Endpoint
    project: str
    stack: str
    outputs: Mapping[str, Any]  # the stack's exports
    secret_outputs: frozenset[str]
    api_keys: Mapping[str, str] = field(repr=False)  # usage plan -> the key's value
    functions: Mapping[str, str]  # logical name -> physical name
    log_groups: Mapping[str, str]  # function's logical name -> its log group
    pid: int  # of the emulator, and of the process group with its Lambda workers
    folder: Path  # of the emulator
    resource_count: int
    started_at: float  # seconds since the epoch
    kept_data: Path | None = None  # the folder in which its data stays when it stops
    # Shared with the fulfillment system. None unless this run has created it.
    signing_secret: str | None = field(default=None, repr=False)

    @property
    def api_url(self) -> str:
        """The base URL to which the API's paths are appended."""
        return str(self.outputs["apiUrl"])

    def client(self, service: str) -> Any:
        """Returns a boto3 client of the account's root user. Thread-safe."""
        return self.endpoint.client(service)

    def all_outputs(self) -> dict[str, Any]:
        """Returns the exports, API keys, secrets, and the AWS endpoint with its credentials."""
        return {
            **self.outputs,
            **({"fulfillmentSecret": self.signing_secret} if self.signing_secret else {}),
            "apiKeys": dict(self.api_keys),
            "endpointUrl": self.endpoint.url,
            "region": self.endpoint.region,
            "awsAccessKeyId": self.endpoint.access_key_id,
            "awsSecretAccessKey": SECRET_ACCESS_KEY,
        }

    def deploy(
        self, root: Path, *, stack: str = "local", config: Mapping[str, Any] | None = None
    ) -> ProgramRun:
        """Deploys another project onto the same emulator. Its StackReference may name this stack."""
        from local.engine.program import StackOutputs

        own = StackOutputs(values=self.outputs, secret_names=self.secret_outputs)
        return deploy(
            self.endpoint,
            root=root,
            stack=stack,
            config=config,
            stack_references={f"{self.project}/{self.stack}": own},
        )

    def stop(self) -> None:
        """Ends the emulator with all its workers and removes its folder."""
        stop_group(self.pid, self.folder)


def deploy(
    endpoint: Endpoint,
    *,
    root: Path = PROJECT_ROOT,
    stack: str = "local",
    config: Mapping[str, Any] | None = None,
    stack_references: Mapping[str, StackOutputs] | None = None,
    on_resource: Callable[[Resource], None] | None = None,
    secret: str | None = None,
) -> ProgramRun:
    """Deploys a project onto a running emulator. Raises ConfigError and ProgramError.

    With a `secret`, the API's id and the values of its keys are the same in each deployment.
    """
    from local.aws.deployer import Deployer
    from local.engine.program import run_program

    root = root.resolve()  # the program runs with another working directory
    values = load_stack_config(root, stack, config).values
    tags = json.loads(values.get("aws:defaultTags", "{}")).get("tags") or {}
    return run_program(
        stack,
        Deployer(endpoint, root, default_tags=tags, secret=secret),
        config=config,
        root=root,
        stack_references=stack_references,
        on_resource=on_resource,
    )


@contextlib.contextmanager
def running_stack(
    *,
    root: Path = PROJECT_ROOT,
    stack: str = "local",
    config: Mapping[str, Any] | None = None,
    port: int | None = None,
    on_resource: Callable[[Resource], None] | None = None,
) -> Iterator[RunningStack]:
    """Starts a separate emulator, deploys the project (about two seconds), and stops it at the end.

    Any number may run at once. `config` overrides values of the stack's configuration. For a fulfillmentUrl
    without fulfillmentSecretArn, the secret `SIGNING_SECRET` is created. Raises EmulatorError, ConfigError
    and ProgramError.
    """
    with start_emulator(region=_region(root, stack, config), port=port, while_starting=_preload) as emulator:
        yield _deploy_project(emulator, root, stack, config, on_resource)


@contextlib.contextmanager
def shared_stack(
    *,
    root: Path = PROJECT_ROOT,
    stack: str = "local",
    config: Mapping[str, Any] | None = None,
    port: int | None = None,
    keep: bool = False,
    on_resource: Callable[[Resource], None] | None = None,
    state_folder: Path = STATE_FOLDER,
) -> Iterator[tuple[RunningStack, Emulator]]:
    """Starts the one instance that `connect` returns, as `running_stack` does.

    Its URL, keys and signing secret are the same at each start in this state folder, if its port is free.
    Otherwise it takes the next free port. With `keep` it continues with the data that is kept here.

    Yields the emulator too: the caller may wait for it, or `release` it to keep it running. Raises StackError
    when an instance is running already, or when the kept data cannot be used.
    """
    with _starting(state_folder):
        running = _read_state(state_folder)
        if running:
            raise StackError(
                f"The embedded AWS is running already at {running.endpoint.url} (process {running.pid}); "
                f"`python -m local down` stops it."
            )
        check_disk(state_folder, 1, "free some")
        secret = _secret(state_folder)
        kept_data = state_folder / "data" if keep else None
        if kept_data:
            try:
                check_kept_data(kept_data)
            except KeptDataError as error:
                raise StackError(str(error)) from error
        emulator = start_emulator(
            region=_region(root, stack, config),
            port=port or first_free_port(usual_port(state_folder=state_folder)),
            state_file=_state_file(state_folder),
            kept_data=kept_data,
            while_starting=_preload,
        )
        try:
            deployed = replace(
                _deploy_project(emulator, root, stack, config, on_resource, secret), kept_data=kept_data
            )
            record(deployed, state_folder=state_folder)
        except BaseException:
            emulator.stop()
            raise
    try:
        yield deployed, emulator
    finally:
        if not emulator.released:
            emulator.stop()
            _remove_record(state_folder, deployed.pid)


def connect(*, state_folder: Path = STATE_FOLDER) -> RunningStack:
    """Returns the instance that `python -m local up` has started. Raises StackError when there is none."""
    running = _read_state(state_folder)
    if running is None:
        raise StackError("The embedded AWS is not running; `python -m local up` starts it.")
    return running


def stop_shared(*, state_folder: Path = STATE_FOLDER) -> RunningStack:
    """Stops the instance that `connect` returns, and returns it. Raises StackError when there is none."""
    running = connect(state_folder=state_folder)
    # Before the stop: a process that waits for the emulator takes an end with a record as unexpected.
    _remove_record(state_folder, running.pid)
    running.stop()
    return running


def record(running: RunningStack, *, state_folder: Path = STATE_FOLDER) -> None:
    """Records this instance for `connect`."""
    state = asdict(running) | {
        "endpoint": {
            "port": running.endpoint.port,
            "region": running.endpoint.region,
            "account_id": running.endpoint.account_id,
        },
        "secret_outputs": sorted(running.secret_outputs),
        "folder": str(running.folder),
        "kept_data": str(running.kept_data) if running.kept_data else None,
    }
    path = _state_file(state_folder)
    draft = path.with_suffix(".new")
    # It holds API keys and a secret: only this user may read it.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file, indent=2)
    draft.replace(path)


def is_recorded(running: RunningStack, *, state_folder: Path = STATE_FOLDER) -> bool:
    """Returns whether this instance is recorded: `stop_shared` removes the record."""
    try:
        return bool(json.loads(_state_file(state_folder).read_text())["pid"] == running.pid)
    except (FileNotFoundError, ValueError, KeyError):
        return False


def _preload(endpoint: Endpoint) -> None:
    from local.aws.deployer import preload

    preload(endpoint)


def _region(root: Path, stack: str, config: Mapping[str, Any] | None) -> str:
    return load_stack_config(root, stack, config).values.get("aws:region", _DEFAULT_REGION)


def _with_signing_secret(
    config: Mapping[str, Any], endpoint: Endpoint, secret: str | None
) -> tuple[Mapping[str, Any], str | None]:
    """Creates the signing secret that a configured fulfillment system lacks, derived from the given secret.

    Returns the configuration with its ARN, and the secret's value or None.
    """
    if not config.get("fulfillmentUrl") or config.get("fulfillmentSecretArn"):
        return config, None
    value = hmac.new((secret or secrets.token_hex(32)).encode(), b"signing", "sha256").hexdigest()
    created = endpoint.client("secretsmanager").create_secret(Name=SIGNING_SECRET, SecretString=value)
    return {**config, "fulfillmentSecretArn": created["ARN"]}, value


def _deploy_project(
    emulator: Emulator,
    root: Path,
    stack: str,
    config: Mapping[str, Any] | None,
    on_resource: Callable[[Resource], None] | None,
    secret: str | None = None,
) -> RunningStack:
    config, signing_secret = _with_signing_secret(config or {}, emulator.endpoint, secret)
    run = deploy(
        emulator.endpoint, root=root, stack=stack, config=config, on_resource=on_resource, secret=secret
    )
    keys = emulator.endpoint.client("apigateway")
    functions = run.of_type("aws:lambda/function:Function")
    return RunningStack(
        endpoint=emulator.endpoint,
        project=run.config.project,
        stack=stack,
        outputs=run.outputs.values,
        secret_outputs=run.outputs.secret_names,
        api_keys={
            plan: keys.get_api_key(apiKey=key_id, includeValue=True)["value"]
            for plan, key_id in run.outputs.values.get("apiKeyIds", {}).items()
        },
        functions={function.name: function.outputs["name"] for function in functions},
        log_groups={
            function.name: (function.inputs.get("loggingConfig") or {}).get("logGroup")
            or f"/aws/lambda/{function.outputs['name']}"
            for function in functions
        },
        pid=emulator.pid,
        folder=emulator.folder,
        resource_count=len(run.resources),
        started_at=time.time(),
        signing_secret=signing_secret,
    )


def usual_port(*, state_folder: Path = STATE_FOLDER) -> int:
    """Returns the port of the instance in this folder: the same at each start, if it is free."""
    digest = hashlib.sha256(f"port {_secret(state_folder)}".encode()).digest()
    # Below the ports that Linux (32768) and macOS (49152) give to outgoing connections.
    return 20_000 + int.from_bytes(digest[:4]) % 12_000


def _secret(folder: Path) -> str:
    """Returns the secret of this folder's instance, made at its first start. Only this user may read it."""
    path = folder / "secret"
    with contextlib.suppress(FileNotFoundError):
        if text := path.read_text("utf-8"):
            return text
    folder.mkdir(parents=True, exist_ok=True)
    value = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value)
    return value


def _state_file(folder: Path) -> Path:
    return folder / "instance.json"


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """Holds the lock for starting an instance. Raises StackError when another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("Another process is starting the embedded AWS; try again.") from None
        yield
    finally:
        os.close(lock)


def _read_state(folder: Path) -> RunningStack | None:
    """Returns the running instance, or None. Removes the record and folder of a crashed one."""
    path = _state_file(folder)
    try:
        state = json.loads(path.read_text())
        running = RunningStack(
            **state
            | {
                "endpoint": Endpoint(**state["endpoint"]),
                "secret_outputs": frozenset(state["secret_outputs"]),
                "folder": Path(state["folder"]),
                "kept_data": Path(state["kept_data"]) if state["kept_data"] else None,
            }
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        path.unlink(missing_ok=True)
        return None
    if is_alive(running.folder):
        return running
    _remove_record(folder, running.pid)
    shutil.rmtree(running.folder, ignore_errors=True)
    return None


def _remove_record(folder: Path, pid: int) -> None:
    path = _state_file(folder)
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        if json.loads(path.read_text())["pid"] == pid:
            path.unlink()
