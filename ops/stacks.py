"""The deployed stack that the commands act on, and the clients that reach it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import msgspec
from botocore.config import Config

from functions.shared.events import EventBus
from functions.shared.lifecycle import OrderLifecycle
from functions.shared.order_queue import OrderQueue
from functions.shared.persistence.order_lists import OrderLists
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reports import Reports
from functions.shared.persistence.reservations import Reservations
from functions.shared.reporting import Reporting
from ops.dead_letters import DeadLetterQueue
from ops.delivery import Delivery
from ops.executions import Executions

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
LOCAL: Final = "local"
"""The name of the stack on the embedded AWS."""

# Seconds for one answer of the Pulumi CLI.
_OUTPUTS_TIMEOUT: Final = 120.0
_LIST_TIMEOUT: Final = 20.0

# An operator waits for the answer: retry for seconds, not for minutes.
_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5}
)
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
_STATE_MACHINE_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:states:[a-z]+(-[a-z]+)+-[0-9]+:[0-9]{12}:stateMachine:[^:\s]+"
)
# The pattern of `pulumi:autonaming` in Pulumi.yaml.
_STATE_MACHINE_NAME: Final = re.compile(r"(?P<project>.+)-order_fulfillment-(?P<stack>.+)-[0-9a-f]{6}")


class NoStack(Exception):
    """The stack does not exist or cannot be read. The message is for the operator."""


class _ListedStack(msgspec.Struct):
    """An element of the answer of `pulumi stack ls --json`."""

    name: str


class TableNames(msgspec.Struct, frozen=True):
    """The export `tableNames`, reduced to the tables that the commands use."""

    products: str
    orders: str


class Outputs(msgspec.Struct, frozen=True, rename="camel"):
    """The stack's exports, reduced to those that the commands use."""

    table_names: TableNames
    queue_url: str
    dead_letter_queue_url: str
    state_machine_arn: str
    event_bus_name: str
    stalled_after_minutes: int
    order_placed_event: bool = False

    @property
    def project_and_stack(self) -> tuple[str, str] | None:
        """The names in the name of the state machine, or None if Pulumi did not name it."""
        found = _STATE_MACHINE_NAME.fullmatch(self.state_machine_arn.rpartition(":")[2])
        return None if found is None else (found["project"], found["stack"])


@dataclass(frozen=True)
class OperatedStack:
    """A stack: the name that is printed, its exports, and a factory of clients by botocore's names."""

    name: str
    outputs: Outputs
    client: Callable[[str], Any]

    @cached_property
    def orders(self) -> OrderRepository:
        """Its orders."""
        return OrderRepository(self.client("dynamodb"), self.outputs.table_names.orders)

    @cached_property
    def order_lists(self) -> OrderLists:
        """The lists of its orders."""
        return OrderLists(
            self.client("dynamodb"),
            self.outputs.table_names.orders,
            stalled_after_minutes=self.outputs.stalled_after_minutes,
        )

    @cached_property
    def reservations(self) -> Reservations:
        """The stock that its orders reserve."""
        tables = self.outputs.table_names
        return Reservations(self.client("dynamodb"), tables.orders, tables.products)

    @cached_property
    def bus(self) -> EventBus:
        """Its event bus."""
        return EventBus(
            lambda: self.client("events"),
            self.outputs.event_bus_name,
            announces_placed=self.outputs.order_placed_event,
        )

    @cached_property
    def lifecycle(self) -> OrderLifecycle:
        """Changes the status of its orders."""
        return OrderLifecycle(self.orders, self.bus)

    @cached_property
    def reporting(self) -> Reporting:
        """Records what comes back of its orders."""
        tables = self.outputs.table_names
        reports = Reports(self.client("dynamodb"), tables.orders, tables.products)
        return Reporting(reports, self.lifecycle)

    @cached_property
    def queue(self) -> OrderQueue:
        """Its orders queue."""
        return OrderQueue(self.client("sqs"), self.outputs.queue_url)

    @cached_property
    def delivery(self) -> Delivery:
        """The delivery of its orders queue to order_consumer."""
        return Delivery(self.client("sqs"), self.client("lambda"), self.outputs.queue_url)

    @cached_property
    def dead_letters(self) -> DeadLetterQueue:
        """Its dead-letter queue."""
        return DeadLetterQueue(
            self.client("sqs"), self.outputs.dead_letter_queue_url, self.outputs.queue_url, self.orders
        )

    @cached_property
    def executions(self) -> Executions:
        """The executions of its workflow."""
        return Executions(self.client("stepfunctions"), self.outputs.state_machine_arn)


def find_stack(name: str, outputs_file: Path | None = None) -> OperatedStack:
    """Return the stack of this name.

    With a file, its exports are read from there. Otherwise `local` is the embedded AWS, and the Pulumi CLI is
    asked for any other name. Raises `NoStack`.
    """
    if outputs_file is not None:
        stack = on_aws(name, _read_outputs(outputs_file))
        _check_stack_of_file(name, outputs_file, stack.outputs)
        return stack
    return _connect_to_local() if name == LOCAL else on_aws(name, _ask_pulumi_for_outputs(name))


def find_stack_names() -> list[str]:
    """Return the names that --stack can have.

    These are the embedded AWS if it runs, and the stacks that the Pulumi CLI lists. If the CLI does not
    answer, they are the stacks that have a configuration file.
    """
    names = []
    try:
        _connect_to_local()
    except NoStack:
        pass
    else:
        names.append(LOCAL)
    return names + [name for name in _pulumi_stack_names() if name != LOCAL]


def on_aws(name: str, outputs: Mapping[str, Any]) -> OperatedStack:
    """Return a stack in AWS, from its exports.

    The region is the state machine's. Credentials come from the environment. Raises `NoStack` when these are
    not the exports of this project.
    """
    decoded = _decode(name, outputs)
    _, _, _, region, account, _, _ = decoded.state_machine_arn.split(":")

    def client(service: str) -> Any:
        return boto3.client(service, region_name=region, config=_CONFIG)

    return OperatedStack(f"{name} (account {account}, {region})", decoded, client)


def _connect_to_local() -> OperatedStack:
    from local.stack import StackError, connect  # loads Pulumi, which other commands do not need

    try:
        running = connect()
    except StackError as error:
        raise NoStack(str(error)) from error
    name = f"{LOCAL} (embedded AWS, {running.endpoint.url})"
    return OperatedStack(name, _decode(LOCAL, running.outputs), running.client)


def _decode(name: str, outputs: Mapping[str, Any]) -> Outputs:
    try:
        decoded = msgspec.convert(outputs, Outputs)
    except msgspec.ValidationError as error:
        raise NoStack(f"The outputs of stack {name} are not those of an orderflow stack: {error}.") from error
    if not _STATE_MACHINE_ARN.fullmatch(decoded.state_machine_arn):
        raise NoStack(
            f"The output stateMachineArn of stack {name} is not the ARN of a state machine: "
            f"{decoded.state_machine_arn}."
        )
    return decoded


def _check_stack_of_file(name: str, file: Path, outputs: Outputs) -> None:
    """Raise `NoStack` if the name of the state machine contains another stack's name."""
    _, found = outputs.project_and_stack or (None, None)
    if found is not None and found != name.rpartition("/")[2]:
        raise NoStack(
            f"The file {file} has the outputs of stack {found}, not of {name}. "
            f"Write --stack {found}, or the file of {name}."
        )


def _read_outputs(file: Path) -> dict[str, Any]:
    try:
        outputs = json.loads(file.read_text())
    except OSError as error:
        raise NoStack(f"The file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise NoStack(f"The file {file} is not JSON: {error}.") from error
    if not isinstance(outputs, dict):
        raise NoStack(f"The file {file} does not have the outputs of a stack: it is not a JSON object.")
    return outputs


def _ask_pulumi_for_outputs(name: str) -> dict[str, Any]:
    program = shutil.which("pulumi")
    if program is None:
        raise NoStack(
            f"The outputs of stack {name} cannot be read: the Pulumi CLI is not installed. Run `pulumi stack "
            f"output --json --stack {name} > outputs.json` elsewhere and add --outputs outputs.json."
        )
    try:
        ended = _run_pulumi(program, "stack", "output", "--json", "--stack", name, timeout=_OUTPUTS_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise NoStack(f"The Pulumi CLI did not answer within {_OUTPUTS_TIMEOUT:.0f} s.") from error
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {ended.returncode}"
        names = find_stack_names()
        found = f" Stacks that were found: {', '.join(names)}." if names else ""
        raise NoStack(f"The Pulumi CLI cannot read the outputs of stack {name}: {reason}.{found}")
    outputs: dict[str, Any] = json.loads(ended.stdout)
    return outputs


def _pulumi_stack_names() -> list[str]:
    program = shutil.which("pulumi")
    if program is not None:
        try:
            ended = _run_pulumi(program, "stack", "ls", "--json", timeout=_LIST_TIMEOUT)
            return [stack.name for stack in msgspec.json.decode(ended.stdout, type=list[_ListedStack])]
        except (subprocess.TimeoutExpired, msgspec.DecodeError):  # for example, not logged in
            pass
    return sorted(file.name.split(".")[1] for file in PROJECT_ROOT.glob("Pulumi.*.yaml"))


def _run_pulumi(program: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments, "--non-interactive"],
        cwd=PROJECT_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
