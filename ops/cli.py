"""The commands of `python -m ops`.

Exit codes: 0 all well, also when there was nothing to do; 1 something went wrong, or the order's state does
not allow it; 2 wrong usage; 3 no stack; 4 no such order; 5 a permission is missing; 6 no valid credentials;
130 interrupted. One sentence on standard error says what is the matter.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from functions.shared import clock
from functions.shared.observability import logger
from local.environment import bypass_proxies_for_loopback
from local.terminal import plain, visible
from ops import orders, views
from ops.dead_letters import DeadLetter
from ops.problems import explain
from ops.targets import Target, find_target

Local = Annotated[
    bool,
    typer.Option("--local", help="The embedded AWS that `python -m local up` runs.", rich_help_panel="Stack"),
]
OutputsFile = Annotated[
    Path | None,
    typer.Option(
        "--outputs",
        metavar="FILE",
        help="The stack whose `pulumi stack output --json` this file holds.",
        rich_help_panel="Stack",
    ),
]
StackName = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        metavar="NAME",
        help="The Pulumi stack of this name (asks the Pulumi CLI).",
        rich_help_panel="Stack",
    ),
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID", help="The order's id.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

app = typer.Typer(
    name="ops",
    help="Look into orders and the dead-letter queue of a stack, and set right what went wrong. Without an "
    "option for the stack: the embedded AWS if it runs, else the selected Pulumi stack. AWS credentials come "
    "from the usual environment (AWS_PROFILE and so on). docs/operations.md is the runbook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
orders_app = typer.Typer(help="Look into orders; cancel, retry and release them.", no_args_is_help=True)
dlq_app = typer.Typer(
    help="Look into the dead-letter queue, and send its messages back.", no_args_is_help=True
)
app.add_typer(orders_app, name="orders")
app.add_typer(dlq_app, name="dlq")

# What goes into a file or a pipe need not fit on a screen.
_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
_errors = Console(stderr=True, highlight=False)


@contextlib.contextmanager
def operating(*, local: bool, outputs: Path | None, stack: str | None) -> Iterator[Target]:
    """The stack that the options name; turns what an operator can mend into one sentence and an exit code."""
    if sum((local, outputs is not None, stack is not None)) > 1:
        raise typer.BadParameter("one of --local, --outputs and --stack, not several")
    try:
        yield find_target(local=local, outputs=outputs, stack=stack)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        _errors.print(f"[bold red]Error:[/] {plain(problem.sentence)}", soft_wrap=True)
        raise typer.Exit(problem.code) from error


@orders_app.command()
def show(
    order_id: OrderId,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """Show an order: its state and history, its goods and shipment, and how its execution stands."""
    with operating(local=local, outputs=outputs, stack=stack) as target:
        inspected = orders.inspect(target, order_id)
        if as_json:
            print(views.as_json(views.inspected_as_data(inspected)))
        else:
            _console.print(views.order_view(inspected, clock.now()), soft_wrap=True)


@orders_app.command()
def stalled(
    minutes: Annotated[
        int, typer.Option(min=0, help="Orders that wait for at least this many minutes.")
    ] = 10,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="Show at most this many, the oldest first.")
    ] = 20,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """List the orders that wait for long: for work, or, though final, for their event to be sent."""
    with operating(local=local, outputs=outputs, stack=stack) as target:
        found, are_more = orders.stalled(target, minutes=minutes, limit=limit)
        if as_json:
            print(views.as_json([views.inspected_as_data(inspected) for inspected in found]))
            return
        if not found:
            _console.print(f"No order waits for {minutes} minutes or more.")
            return
        _console.print(views.stalled_view(found, clock.now()), soft_wrap=True)
        if are_more:
            _console.print(f"There are more than these {limit}; --limit shows more.")


@orders_app.command()
def cancel(
    order_id: OrderId,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """Cancel an order whose goods are not reserved yet."""
    with operating(local=local, outputs=outputs, stack=stack) as target:
        _tell(orders.cancel(target, order_id), as_json=as_json)


@orders_app.command()
def retry(
    order_id: OrderId,
    yes: Yes = False,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """Try a FAILED order again: PENDING in its next attempt, and back on the queue."""
    with operating(local=local, outputs=outputs, stack=stack) as target:
        if not yes:
            _confirm(f"{orders.standing(target, order_id)} Retry it on {target.name}?")
        _tell(orders.retry(target, order_id), as_json=as_json)


@orders_app.command()
def release(
    order_id: OrderId,
    yes: Yes = False,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """Put back the goods that a FAILED order still holds, once it is certain that nobody ships them."""
    with operating(local=local, outputs=outputs, stack=stack) as target:
        if not yes:
            _confirm(
                f"{orders.standing(target, order_id)} Is it certain that its goods were not and will not be "
                f"shipped? Put them back on {target.name}?"
            )
        _tell(orders.release(target, order_id), as_json=as_json)


@dlq_app.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show at most this many.")] = 50,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """List dead letters, with the reason why each is there and what sending it back would do.

    Other readers miss the messages for the moment that this takes.
    """
    with operating(local=local, outputs=outputs, stack=stack) as target:
        with target.dead_letters as queue:
            # One more than is shown tells whether there are more.
            found = [letter for batch in queue.batches(limit + 1) for letter in batch]
        letters = found[:limit]
        if as_json:
            print(views.as_json(msgspec.to_builtins(letters)))
            return
        if not letters:
            _console.print("The dead-letter queue is empty.")
            return
        _console.print(views.dead_letters_view(letters, clock.now()), soft_wrap=True)
        _console.print(_summary(letters))
        if len(found) > limit:
            _console.print(f"There are more than these {limit}; --limit shows more.")


@dlq_app.command()
def redrive(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be sent back.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Look at no more than this many.", show_default="all")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also messages that will fail again: malformed, or of no order.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    local: Local = False,
    outputs: OutputsFile = None,
    stack: StackName = None,
) -> None:
    """Send dead letters back to the orders queue, but for those that would only fail again.

    An interruption or a crash loses nothing: at worst a message is sent twice, which changes nothing.
    """
    with operating(local=local, outputs=outputs, stack=stack) as target:
        sent: list[DeadLetter] = []
        left: list[DeadLetter] = []
        with target.dead_letters as queue:
            total = queue.count() if limit is None else min(limit, queue.count())
            if not (dry_run or yes):
                _confirm(f"About {total} messages to look at. Send back what can be on {target.name}?")
            with _progress(total) as advance:
                for batch in queue.batches(limit):
                    wanted = [letter for letter in batch if every or not letter.verdict.is_hopeless]
                    taken = wanted if dry_run else queue.send_back(wanted)
                    sent += taken
                    left += [letter for letter in batch if letter not in taken]
                    advance(len(batch))
        if as_json:
            print(views.as_json({"dryRun": dry_run, **msgspec.to_builtins({"sent": sent, "left": left})}))
            return
        if left:
            _console.print(views.dead_letters_view(left, clock.now()), soft_wrap=True)
        would = "Would send" if dry_run else "Sent"
        _console.print(
            f"{would} {_summary(sent)} back; {'would leave' if dry_run else 'left'} {_summary(left)}."
        )


def _summary(letters: list[DeadLetter]) -> str:
    """`3 messages (2 overtaken, 1 malformed)`."""
    verdicts = Counter(letter.verdict.value for letter in letters)
    kinds = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    return f"{len(letters)} message{'' if len(letters) == 1 else 's'}{f' ({kinds})' if kinds else ''}"


def _tell(done: orders.Done, *, as_json: bool) -> None:
    if as_json:
        print(views.as_json(views.done_as_data(done)))
    else:
        _console.print(plain(done.sentence), soft_wrap=True)


def _confirm(question: str) -> None:
    typer.confirm(visible(question), abort=True, err=True)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("Looking at messages"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def main() -> None:
    """Runs the command that the arguments name."""
    bypass_proxies_for_loopback()
    # A closed pipe (`| head`) is no error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # The domain's log lines are for CloudWatch; what went wrong is told here in a sentence.
    logger.setLevel("CRITICAL")
    app()
