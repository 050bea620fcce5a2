"""The commands of `python -m local`.

Exit codes: 0 success; 1 failure, with one sentence on standard error; 2 wrong usage; 3 the embedded AWS is
not running (`status` only).
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from local.aws.emulator import SECRET_ACCESS_KEY, EmulatorError
from local.engine.stack_config import ConfigError
from local.environment import bypass_proxies_for_loopback
from local.errors import DemoError, ProgramError
from local.progress import deployment_progress
from local.stack import (
    RunningStack,
    StackError,
    connect,
    is_recorded,
    running_stack,
    shared_stack,
    stop_shared,
    usual_port,
)
from local.terminal import Version, plain
from ops.logs import LogLine, line_view, read_lines

NOT_RUNNING: Final = 3
_FOLLOW_INTERVAL: Final = 0.5  # seconds

app = typer.Typer(
    name="local",
    help="Runs the whole backend on this machine: its Pulumi program, Lambdas and state machine on an "
    "embedded AWS. Needs no AWS account, no Docker and no network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(version: Version = False) -> None:
    pass


class _PipeSafeConsole(Console):
    """A console that discards output once its pipe is closed."""

    def on_broken_pipe(self) -> None:
        """Discards further output; rich's own method ends the process."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_console = _PipeSafeConsole(highlight=False)
_errors = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Prints an error that a user can fix as one sentence, and exits with 1; after Ctrl-C with 130."""
    try:
        yield
    except (ConfigError, DemoError, EmulatorError, ProgramError, StackError) as error:
        _errors.print(f"[bold red]Error:[/] {plain(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            min=1,
            max=65535,
            help="Port on 127.0.0.1.",
            show_default="the same at each start of this clone",
        ),
    ] = None,
    fulfillment_url: Annotated[
        str | None,
        typer.Option(
            "--fulfillment-url",
            help="URL of the fulfillment system: https, or http on this machine.",
            show_default="built in: ships every order",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep tables and queues over restarts, and continue with what is kept."),
    ] = False,
) -> None:
    """Start the embedded AWS and deploy the stack; Ctrl-C stops it."""
    _end_on_signals()
    if detach:
        # A closed pipe (`| head`) must not stop the stack.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with errors_as_exit_codes():
        with contextlib.ExitStack() as stack:
            with deployment_progress(_console) as progress:
                running, emulator = stack.enter_context(
                    shared_stack(
                        config={"fulfillmentUrl": fulfillment_url} if fulfillment_url else None,
                        port=port,
                        keep=keep,
                        on_resource=progress,
                    )
                )
            if detach:
                emulator.release()
            if port is None and running.endpoint.port != usual_port():
                _console.print(f"Port {usual_port()} is in use, so the URL has another one.")
            _show_how_to_use(running)
            if detach:
                _console.print("Runs in the background. `python -m local down` stops it.")
                return
            with contextlib.suppress(KeyboardInterrupt):
                _console.print("Ctrl-C stops it.")
                emulator.wait()
                if is_recorded(running):
                    raise StackError(f"The embedded AWS has ended unexpectedly. {emulator.last_log_line()}")
        _console.print(f"Stopped. {_what_remains(running)}", soft_wrap=True)


def down() -> None:
    """Stop the embedded AWS, and remove its data unless it was started with --keep."""
    with errors_as_exit_codes():
        running = stop_shared()
        _console.print(
            f"Stopped the embedded AWS at {running.endpoint.url}. {_what_remains(running)}", soft_wrap=True
        )


def status() -> None:
    """Print whether and where the embedded AWS runs. Exit code 3: it does not run."""
    with errors_as_exit_codes():
        try:
            running = connect()
        except StackError as error:
            _console.print(str(error))
            raise typer.Exit(NOT_RUNNING) from None
        healthy = running.endpoint.is_ready(timeout=5)
        table = Table(show_header=False, box=None)
        table.add_column()
        table.add_column(overflow="fold")  # a path is shown in full
        minutes, seconds = divmod(int(time.time() - running.started_at), 60)
        state = "running" if healthy else "running, but it does not answer"
        if shutil.disk_usage(running.folder).free < 1_000_000:
            state += f", and the disk of {running.folder} is full"
        table.add_row("State", state)
        table.add_row("API", running.api_url)
        table.add_row("Endpoint", f"{running.endpoint.url} ({running.endpoint.region})")
        table.add_row("Process", str(running.pid))
        table.add_row("Up for", f"{minutes} min {seconds} s")
        table.add_row("Resources", str(running.resource_count))
        _console.print(table, soft_wrap=True)


def outputs() -> None:
    """Print the stack's outputs, API keys, secrets and AWS endpoint as JSON."""
    with errors_as_exit_codes():
        print(json.dumps(connect().all_outputs(), indent=2, sort_keys=True))


def env() -> None:
    """Print URL, key, secret and AWS settings as exports for a shell: `eval "$(python -m local env)"`."""
    with errors_as_exit_codes():
        running = connect()
        for name, value in {
            "API_URL": running.api_url,
            "API_KEY": _key(running),
            **({"FULFILLMENT_SECRET": running.signing_secret} if running.signing_secret else {}),
            "AWS_ENDPOINT_URL": running.endpoint.url,
            "AWS_REGION": running.endpoint.region,
            "AWS_ACCESS_KEY_ID": running.endpoint.access_key_id,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        }.items():
            print(f"export {name}={shlex.quote(value)}")


def logs(
    function: Annotated[
        str | None, typer.Argument(help="Only this function's lines.", show_default="all functions")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until Ctrl-C.")] = False,
    platform: Annotated[
        bool, typer.Option("--platform", help="Include Lambda's own START, END and REPORT lines.")
    ] = False,
    order: Annotated[
        str | None, typer.Option("--order", help="Only the lines of this order, one short line each.")
    ] = None,
) -> None:
    """Print the functions' logs, oldest line first."""
    with errors_as_exit_codes():
        running = connect()
        if function is not None and function not in running.log_groups:
            raise StackError(
                f"There is no function {function!r}; use one of {', '.join(sorted(running.log_groups))}."
            )
        groups = {name: group for name, group in running.log_groups.items() if function in (None, name)}
        seen: set[LogLine] = set()
        while True:
            _print_new_lines(running, groups, seen, platform=platform, order=order)
            if not follow:
                return
            time.sleep(_FOLLOW_INTERVAL)


def demo() -> None:
    """Process orders to every final status, and check each.

    Uses the running stack, or starts one with a fulfillment system.
    """
    from local.demo import run_demo

    _end_on_signals()
    with errors_as_exit_codes(), contextlib.ExitStack() as stack:
        has_partner = False
        try:
            running = connect()
        except StackError:
            running = stack.enter_context(_stack_with_partner())
            has_partner = True
        as_expected = run_demo(running.api_url, _key(running), _console, has_partner)
        if not as_expected:
            raise DemoError("an order or the stock did not end as expected")
        _console.print("[green]Every order ended as expected.[/]")


for command in (up, down, status, outputs, env, logs, demo):
    app.command()(command)


@contextlib.contextmanager
def _stack_with_partner() -> Iterator[RunningStack]:
    """Starts a stack that uses the demonstration's fulfillment system."""
    from local.demo import demo_partner
    from local.partners.calls import Api
    from local.partners.fulfillment import PartnerServer

    partner = demo_partner()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(PartnerServer(partner))
        with deployment_progress(_console) as progress:
            config = {"fulfillmentUrl": server.url}
            running = stack.enter_context(running_stack(config=config, on_resource=progress))
        partner.secret = str(running.signing_secret)
        partner.api = Api(running.api_url, _key(running))
        yield running


def _end_on_signals() -> None:
    """Makes SIGTERM and SIGHUP end the process as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: shells start background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _key(running: RunningStack) -> str:
    """Returns the API key of the paid plan, which has the higher limits, or of any other plan."""
    return running.api_keys.get("paid") or next(iter(running.api_keys.values()), "")


def _what_remains(running: RunningStack) -> str:
    if running.kept_data is None:
        return "All its data is removed."
    return f"Its data is kept in {running.kept_data}; `python -m local up --keep` continues with it."


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
        f'curl {header} -X PUT -d \'{{"name": "Ada", "email": "ada@example.com"}}\' {url}/users/ada',
        f'curl {header} -X PUT -d \'{{"title": "Lamp", "price": 1999, "stock": 5}}\' {url}/products/lamp',
        f'curl {header} -d \'{{"userId": "ada", "items": [{{"productId": "lamp", "quantity": 1}}]}}\' '
        f"{url}/orders",
        f"curl {header} {url}/users/ada/orders",
    ):
        _console.print(f"  {line}", soft_wrap=True, markup=False)


def _print_new_lines(
    running: RunningStack,
    groups: dict[str, str],
    seen: set[LogLine],
    *,
    platform: bool,
    order: str | None,
) -> None:
    width = max((len(name) for name in groups), default=0)
    for line in read_lines(running.client("logs"), groups, order=order, platform=platform):
        if line not in seen:
            seen.add(line)
            _console.print(line_view(line, width=width, is_short=order is not None), soft_wrap=True)


def main() -> None:
    """Runs the command that the arguments name."""
    bypass_proxies_for_loopback()
    # A closed pipe (`| head`) is not an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    app()
