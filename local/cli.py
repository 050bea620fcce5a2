"""The commands of `python -m local`.

Exit codes: 0 all well; 1 something went wrong, and one sentence on standard error says what; 2 wrong usage;
3 the embedded AWS is not running (`status` only).
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from local.aws.emulator import EmulatorError
from local.demo import DemoError, run_demo
from local.engine.program import ProgramError
from local.engine.stack_config import ConfigError
from local.environment import bypass_proxies_for_loopback
from local.progress import deployment_progress
from local.stack import (
    RunningStack,
    StackError,
    connect,
    is_recorded,
    running_stack,
    shared_stack,
    stop_shared,
)
from local.terminal import plain, visible_lines

NOT_RUNNING: Final = 3
_FOLLOW_PAUSE: Final = 0.5  # seconds between two looks at the logs
# Lambda's own lines around each invocation.
_PLATFORM_LINES: Final = ("START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START ")

Line = tuple[int, str, str, str]  # time, function, stream, text

app = typer.Typer(
    name="local",
    help="Runs the whole backend on this machine: its Pulumi program, Lambdas and state machine on an "
    "embedded AWS. No account, no Docker, no network.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _PatientConsole(Console):
    """A console whose reader may leave: from then on it is quiet."""

    def on_broken_pipe(self) -> None:
        """Discards what is still to be printed, where rich would end the process."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_console = _PatientConsole(highlight=False)
_errors = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def friendly_errors() -> Iterator[None]:
    """Turns what a user can mend into one sentence and exit code 1, and an interruption into 130."""
    try:
        yield
    except (ConfigError, DemoError, EmulatorError, ProgramError, StackError) as error:
        _errors.print(f"[bold red]Error:[/] {plain(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running in the background and return.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", min=1, max=65535, help="Port on 127.0.0.1.", show_default="a free one"),
    ] = None,
    fulfillment_url: Annotated[
        str | None,
        typer.Option(
            "--fulfillment-url",
            help="Have orders shipped by the fulfillment system there: https, or http on this machine.",
            show_default="in place",
        ),
    ] = None,
) -> None:
    """Start the embedded AWS with the stack deployed, until Ctrl-C (or in the background)."""
    _end_on_signals()
    if detach:
        # A reader that leaves (`| head`) must not take the stack down.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with friendly_errors():
        with contextlib.ExitStack() as stack:
            with deployment_progress(_console) as progress:
                running, emulator = stack.enter_context(
                    shared_stack(
                        config={"fulfillmentUrl": fulfillment_url} if fulfillment_url else None,
                        port=port,
                        on_resource=progress,
                    )
                )
            if detach:
                emulator.release()
            _show_how_to_use(running)
            if detach:
                _console.print("It runs in the background; `python -m local down` stops it.")
                return
            with contextlib.suppress(KeyboardInterrupt):
                _console.print("Ctrl-C stops it.")
                emulator.wait()
                if is_recorded(running):
                    raise StackError(f"The embedded AWS has ended unexpectedly. {emulator.last_words()}")
        _console.print("Stopped; nothing is left behind.")


def down() -> None:
    """Stop the embedded AWS and remove all that it kept."""
    with friendly_errors():
        running = stop_shared()
        _console.print(f"Stopped the embedded AWS at {running.endpoint.url}; nothing is left behind.")


def status() -> None:
    """Tell whether the embedded AWS runs, and where (exit code 3 when it does not)."""
    with friendly_errors():
        try:
            running = connect()
        except StackError as error:
            _console.print(str(error))
            raise typer.Exit(NOT_RUNNING) from None
        healthy = running.endpoint.answers(timeout=5)
        table = Table(show_header=False, box=None)
        minutes, seconds = divmod(int(time.time() - running.started_at), 60)
        table.add_row("State", "running" if healthy else "running, but it does not answer")
        table.add_row("API", running.api_url)
        table.add_row("Endpoint", f"{running.endpoint.url} ({running.endpoint.region})")
        table.add_row("Process", str(running.pid))
        table.add_row("Up for", f"{minutes} min {seconds} s")
        table.add_row("Resources", str(running.resource_count))
        _console.print(table, soft_wrap=True)


def outputs() -> None:
    """Print the stack's outputs, the keys and secrets to use it with, and the AWS endpoint as JSON."""
    with friendly_errors():
        print(json.dumps(connect().all_outputs(), indent=2, sort_keys=True))


def logs(
    function: Annotated[
        str | None, typer.Argument(help="Only this function's lines.", show_default="all functions")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is being logged, until Ctrl-C.")
    ] = False,
    platform: Annotated[
        bool, typer.Option("--platform", help="Also Lambda's own START, END and REPORT lines.")
    ] = False,
) -> None:
    """Print what the functions have logged, oldest first."""
    with friendly_errors():
        running = connect()
        if function is not None and function not in running.log_groups:
            raise StackError(
                f"There is no function {function!r}; there are {', '.join(sorted(running.log_groups))}."
            )
        groups = {name: group for name, group in running.log_groups.items() if function in (None, name)}
        seen: set[Line] = set()
        while True:
            _print_new_lines(running, groups, seen, platform=platform)
            if not follow:
                return
            time.sleep(_FOLLOW_PAUSE)


def demo() -> None:
    """Carry orders through every ending on the running stack, or on one started for it; exit code 0 if all
    ended as they should."""
    _end_on_signals()
    with friendly_errors(), contextlib.ExitStack() as stack:
        try:
            running = connect()
        except StackError:
            with deployment_progress(_console) as progress:
                running = stack.enter_context(running_stack(on_resource=progress))
        as_expected = run_demo(running.api_url, _key(running), _console)
        if not as_expected:
            raise DemoError("not every order ended as it should")
        _console.print("[green]Every order ended as it should.[/]")


for command in (up, down, status, outputs, logs, demo):
    app.command()(command)


def _end_on_signals() -> None:
    """Ends as after Ctrl-C when the terminal goes away or somebody asks the process to end."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT as well: a shell's background job is started with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _key(running: RunningStack) -> str:
    """The API key of the roomy plan, or else of any."""
    return running.api_keys.get("paid") or next(iter(running.api_keys.values()), "")


def _show_how_to_use(running: RunningStack) -> None:
    key = _key(running)
    header = f'-H "x-api-key: {key}" -H "content-type: application/json"'
    url = running.api_url
    for label, value in (("API", url), ("Key", key), ("AWS", running.endpoint.url)):
        _console.print(f"[bold]{label}[/]  {value}", soft_wrap=True)
    if running.signing_secret:
        _console.print(
            "[bold]Signing secret[/]  fulfillmentSecret in `python -m local outputs`", soft_wrap=True
        )
    _console.print("Try:")
    for line in (
        f"curl {url}/",
        f'curl {header} -d \'{{"title": "Lamp", "price": 1999, "stock": 5}}\' {url}/products',
        f"curl {header} {url}/products",
    ):
        _console.print(f"  {line}", soft_wrap=True, markup=False)


def _print_new_lines(
    running: RunningStack, groups: dict[str, str], seen: set[Line], *, platform: bool
) -> None:
    lines: list[Line] = []
    client = running.client("logs")
    for name, group in groups.items():
        for page in client.get_paginator("filter_log_events").paginate(logGroupName=group):
            lines += [
                (event["timestamp"], name, event["logStreamName"], event["message"].rstrip())
                for event in page["events"]
            ]
    width = max((len(name) for name in groups), default=0)
    for line in sorted(lines, key=lambda line: line[0]):
        _, name, _, message = line
        if line in seen or (not platform and message.startswith(_PLATFORM_LINES)):
            continue
        seen.add(line)
        _console.print(f"[cyan]{name:<{width}}[/]  ", end="")
        _console.print(visible_lines(message), soft_wrap=True, markup=False)


def main() -> None:
    """Runs the command that the arguments name."""
    bypass_proxies_for_loopback()
    # A closed pipe (`| head`) is no error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    app()
