"""Which deployed stack is operated, and how it is reached."""

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
from functions.shared.persistence.orders import OrderRepository
from functions.shared.persistence.reservations import Reservations
from ops.dead_letters import DeadLetterQueue
from ops.executions import Executions

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
_PULUMI_TIMEOUT: Final = 120.0  # seconds

# A person waits: rather try once more than give up, but not for minutes. Seconds.
_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5}
)
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
_STATE_MACHINE_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:states:[a-z]+(-[a-z]+)+-[0-9]+:[0-9]{12}:stateMachine:[^:\s]+"
)


class NoStack(Exception):
    """There is no stack to operate; the message is one sentence."""


class TableNames(msgspec.Struct, frozen=True):
    """The export `tableNames`, as far as it is needed here."""

    products: str
    orders: str


class Outputs(msgspec.Struct, frozen=True, rename="camel"):
    """The stack's exports, as far as they are needed here."""

    table_names: TableNames
    queue_url: str
    dead_letter_queue_url: str
    state_machine_arn: str
    event_bus_name: str


@dataclass(frozen=True)
class Target:
    """A stack: what people call it, its exports, and what makes clients for it (by botocore's names)."""

    name: str
    outputs: Outputs
    client: Callable[[str], Any]

    @cached_property
    def orders(self) -> OrderRepository:
        """Its orders."""
        return OrderRepository(self.client("dynamodb"), self.outputs.table_names.orders)

    @cached_property
    def reservations(self) -> Reservations:
        """The stock that its orders hold."""
        tables = self.outputs.table_names
        return Reservations(self.client("dynamodb"), tables.orders, tables.products)

    @cached_property
    def lifecycle(self) -> OrderLifecycle:
        """The way to change its orders' status."""
        return OrderLifecycle(
            self.orders, EventBus(lambda: self.client("events"), self.outputs.event_bus_name)
        )

    @cached_property
    def queue(self) -> OrderQueue:
        """The queue on which its orders wait for the workflow."""
        return OrderQueue(self.client("sqs"), self.outputs.queue_url)

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


def find_target(*, local: bool, outputs: Path | None, stack: str | None) -> Target:
    """The stack that the options name; without any the running embedded AWS, or else the Pulumi stack that is
    selected.

    Raises `NoStack`.
    """
    if local:
        return _local()
    if outputs is not None:
        return on_aws(f"the stack of {outputs}", _read(outputs))
    if stack is not None:
        return on_aws(f"the stack {stack}", _ask_pulumi("--stack", stack))
    try:
        return _local()
    except NoStack as error:
        if shutil.which("pulumi") is None:
            raise NoStack(
                "No stack to operate: the embedded AWS is not running, and there is no Pulumi CLI to ask for "
                "a stack's outputs; use --local, --stack or --outputs."
            ) from error
    return on_aws("the selected Pulumi stack", _ask_pulumi())


def on_aws(name: str, outputs: Mapping[str, Any]) -> Target:
    """A stack in AWS, from its exports. The region is the state machine's; credentials come from the usual
    environment.

    Raises `NoStack` when these are not the exports of this project.
    """
    decoded = _decode(name, outputs)
    _, _, _, region, account, _, _ = decoded.state_machine_arn.split(":")

    def client(service: str) -> Any:
        return boto3.client(service, region_name=region, config=_CONFIG)

    return Target(f"{name} (account {account}, {region})", decoded, client)


def _local() -> Target:
    from local.stack import StackError, connect  # it loads Pulumi, which not every command needs

    try:
        running = connect()
    except StackError as error:
        raise NoStack(str(error)) from error
    name = f"the local stack ({running.endpoint.url})"
    return Target(name, _decode(name, running.outputs), running.client)


def _decode(name: str, outputs: Mapping[str, Any]) -> Outputs:
    try:
        decoded = msgspec.convert(outputs, Outputs)
    except msgspec.ValidationError as error:
        raise NoStack(f"The outputs of {name} are not those of an orderflow stack: {error}.") from error
    if not _STATE_MACHINE_ARN.fullmatch(decoded.state_machine_arn):
        raise NoStack(
            f"The output stateMachineArn of {name} is not the ARN of a state machine: "
            f"{decoded.state_machine_arn}."
        )
    return decoded


def _read(path: Path) -> dict[str, Any]:
    try:
        outputs = json.loads(path.read_text())
    except OSError as error:
        raise NoStack(f"The file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise NoStack(f"The file {path} does not hold JSON: {error}.") from error
    if not isinstance(outputs, dict):
        raise NoStack(f"The file {path} does not hold the outputs of a stack: it is no JSON object.")
    return outputs


def _ask_pulumi(*options: str) -> dict[str, Any]:
    program = shutil.which("pulumi")
    if program is None:
        raise NoStack(
            "There is no Pulumi CLI here to ask for the stack's outputs; save them elsewhere with "
            "`pulumi stack output --json > outputs.json` and use --outputs outputs.json."
        )
    command = [program, "stack", "output", "--json", "--non-interactive", *options]
    try:
        run = subprocess.run(
            command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=_PULUMI_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise NoStack(f"The Pulumi CLI did not answer within {_PULUMI_TIMEOUT:.0f} s.") from error
    if run.returncode != 0:
        said = run.stderr.strip().splitlines()
        raise NoStack(f"The Pulumi CLI does not tell the outputs: {said[-1] if said else 'it says nothing'}.")
    outputs: dict[str, Any] = json.loads(run.stdout)
    return outputs
