"""The commands of `python -m ops`.

`ops.problems.ExitCode` lists the exit codes. A command that fails prints one line on standard error.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from functions.shared import clock
from functions.shared.domain.orders import OrderStatus
from functions.shared.events import Event
from functions.shared.observability import logger
from functions.shared.persistence.order_lists import OrderQuery, placed_between
from local.environment import bypass_proxies_for_loopback
from local.terminal import Version, plain, visible
from ops import orders, views
from ops.dead_letters import DeadLetter
from ops.logs import find_lines, line_as_data, line_view, parse_period
from ops.overview import overview
from ops.problems import ExitCode, explain
from ops.reconciliation import reconcile
from ops.replay import find_events, send_again
from ops.stacks import OperatedStack, find_stack, find_stack_names

# Files and pipes have no width; use a fixed one.
_console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
_errors = Console(stderr=True, highlight=False)


def _require_stack(name: str) -> str:
    """Return the value of --stack. Without one, print what to write and exit."""
    if not name:
        names = find_stack_names()
        advice = (
            f"Write --stack NAME, with one of: {', '.join(names)}."
            if names
            else "Write --stack NAME. No stack was found: `python -m local up` starts one on this machine, "
            "`pulumi up` one on AWS."
        )
        _print_error(f"--stack is missing. {advice}")
        raise typer.Exit(ExitCode.WRONG_USAGE)
    return name


StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        metavar="NAME",
        help="Required. `local` is the embedded AWS of `python -m local up`, any other name a Pulumi stack.",
        rich_help_panel="Stack",
        show_default=False,
        callback=_require_stack,
    ),
]
OutputsFile = Annotated[
    Path | None,
    typer.Option(
        "--outputs",
        metavar="FILE",
        help="Read the outputs of the stack from a file that `pulumi stack output --json` wrote, instead of "
        "asking the Pulumi CLI.",
        rich_help_panel="Stack",
    ),
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID", help="Id of the order.", show_default=False)]
MessageId = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE_ID", help="Id of the message, from `dlq list --json`.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask for confirmation. Required without a terminal.")
]

app = typer.Typer(
    name="ops",
    help="Inspect and repair orders, queues and events of a stack. Every command requires --stack and prints "
    "the stack that it acts on. AWS credentials come from the environment (AWS_PROFILE and others). "
    "docs/operations.md is the runbook.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(version: Version = False) -> None:
    pass


orders_app = typer.Typer(
    help="Inspect orders; cancel, retry and release them; receive returns.", no_args_is_help=True
)
queue_app = typer.Typer(help="Pause and resume the orders queue.", no_args_is_help=True)
dlq_app = typer.Typer(help="Inspect the dead-letter queue, and send dead letters back.", no_args_is_help=True)
events_app = typer.Typer(help="Send order events again.", no_args_is_help=True)
app.add_typer(orders_app, name="orders")
app.add_typer(queue_app, name="queue")
app.add_typer(dlq_app, name="dlq")
app.add_typer(events_app, name="events")


@contextlib.contextmanager
def operate(name: str, outputs: Path | None, *, as_json: bool) -> Iterator[OperatedStack]:
    """Connect to a stack and print which one it is.

    An error that the operator can correct is printed as one line and ends the command with its exit code.
    """
    try:
        stack = find_stack(name, outputs)
        (_errors if as_json else _console).print(f"Stack: {plain(stack.name)}", soft_wrap=True)
        yield stack
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        problem = explain(error)
        if problem is None:
            raise
        _print_error(problem.sentence)
        raise typer.Exit(problem.code) from error


def _check_terminal(command: str) -> None:
    """Exit if there is no terminal on which a command that changes the stack could ask."""
    if not _has_terminal():
        _print_error(
            f"`{command}` changes the stack and there is no terminal to ask for confirmation. "
            "Add --yes to confirm."
        )
        raise typer.Exit(ExitCode.WRONG_USAGE)


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirm(question: str) -> None:
    """Ask on standard error. Exits unless the answer is yes."""
    try:
        if typer.confirm(visible(question), err=True):
            return
        code = ExitCode.FAILED
    except typer.Abort:  # Ctrl-C, or the end of input
        code = ExitCode.INTERRUPTED
    _errors.print("Nothing was changed.")
    raise typer.Exit(code)


def _change_order(
    change: Callable[[OperatedStack, str], orders.Outcome],
    order_id: str,
    question: str,
    connection: contextlib.AbstractContextManager[OperatedStack],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Change one order, after the question about it unless `yes`, and print the outcome."""
    if not yes:
        _check_terminal(f"orders {change.__name__}")
    with connection as operated:
        if not yes:
            _confirm(f"{orders.describe_status(operated, order_id)} {question} on stack {operated.name}?")
        _print_outcome(change(operated, order_id), as_json=as_json)


def _print_table(*parts: RenderableType) -> None:
    """Print the parts of an answer, without the empty ones."""
    for part in filter(None, parts):
        _console.print(part, soft_wrap=True)


def _more(limit: int, are_more: bool) -> str:
    return f"There are more than these {limit}; --limit shows more." if are_more else ""


def _print_error(sentence: str) -> None:
    _errors.print(f"[bold red]Error:[/] {plain(sentence)}", soft_wrap=True)


@app.command("overview")
def show_overview(as_json: AsJson = False, stack: StackName = "", outputs: OutputsFile = None) -> None:
    """Count orders by status, messages that wait and dead letters; list raised alarms and a paused queue."""
    with operate(stack, outputs, as_json=as_json) as operated:
        counts = overview(operated)
        if as_json:
            print(views.as_json(msgspec.to_builtins(counts)))
        else:
            _console.print(views.overview_view(counts, clock.now()), soft_wrap=True)


@app.command("reconcile")
def compare_with_executions(
    limit: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Maximum number of orders and of executions, the oldest first."),
    ] = 100,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Compare open orders with running executions, and list those without the other.

    Changes nothing, and leaves out the last minute. AWS does not list EXPRESS executions: of such a stack,
    only orders that were sent more than five minutes ago are listed.
    """
    with operate(stack, outputs, as_json=as_json) as operated:
        found = reconcile(operated, limit=limit)
        if as_json:
            print(views.as_json(views.reconciliation_as_data(found)))
            return
        _print_table(views.reconciliation_view(found, clock.now()), _more(limit, found.more))


@app.command("logs")
def print_logs(
    function: Annotated[str | None, typer.Option(metavar="NAME", help="Only this function's lines.")] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="ORDER_ID", help="Only the lines of this order, one short line each."),
    ] = None,
    since: Annotated[
        int,
        typer.Option(parser=parse_period, metavar="PERIOD", help="Lines of this time: 90s, 15m, 2h, 1d."),
    ] = "15m",  # type: ignore[assignment]  # typer parses it
    text: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Only lines with this text, in whole words.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number, the oldest first.")] = 1000,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Print the functions' logs, oldest line first."""
    with operate(stack, outputs, as_json=as_json) as operated:
        lines, are_more = find_lines(
            operated, function=function, order=order, text=text, seconds=since, limit=limit
        )
        if as_json:
            print(views.as_json([line_as_data(line) for line in lines]))
            return
        width = max((len(line.function) for line in lines), default=0)
        _print_table(*(line_view(line, width=width, is_short=order is not None) for line in lines))
        _print_table(_more(limit, are_more) if lines else "There are no such lines.")


@orders_app.command()
def show(
    order_id: OrderId,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Show an order: status, history, reservation, balance per line, parcels, returns and execution."""
    with operate(stack, outputs, as_json=as_json) as operated:
        details = orders.inspect_order(operated, order_id)
        if as_json:
            print(views.as_json(views.details_as_data(details)))
        else:
            _console.print(views.order_view(details), soft_wrap=True)


@orders_app.command("list")
def list_orders(
    status: Annotated[OrderStatus | None, typer.Option(help="Only orders with this status.")] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of the order, in UTC.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day of the order, in UTC.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Only orders of this user.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only orders with this reference.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number, the newest first.")] = 20,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """List orders, newest first."""
    with operate(stack, outputs, as_json=as_json) as operated:
        days = placed_between(first and first.date(), last and last.date(), today=clock.now()[:10])
        query = OrderQuery(user_id=user, reference=reference, status=status, **days)
        found, are_more = orders.list_orders(operated, query, limit=limit)
        more = f"There may be more than these {limit}; --limit shows more." if are_more else ""
        if as_json:
            print(views.as_json(msgspec.to_builtins(found)))
        else:
            _print_table(views.list_view(found) if found else "There is no such order.", more)


@orders_app.command()
def stalled(
    minutes: Annotated[int, typer.Option(min=0, help="Minimum age in the open index, in minutes.")] = 10,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number, the oldest first.")] = 20,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """List orders that are open for long: not final, or final with an event that is not published."""
    with operate(stack, outputs, as_json=as_json) as operated:
        found, are_more = orders.list_stalled(operated, minutes=minutes, limit=limit)
        if as_json:
            print(views.as_json([views.details_as_data(details) for details in found]))
            return
        nothing = f"No order waits for {minutes} minutes or more."
        _print_table(views.stalled_view(found, clock.now()) if found else nothing, _more(limit, are_more))


@orders_app.command()
def cancel(
    order_id: OrderId,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Cancel an order that has no reservation yet."""
    connection = operate(stack, outputs, as_json=as_json)
    _change_order(orders.cancel, order_id, "Cancel it", connection, yes=yes, as_json=as_json)


@orders_app.command()
def requeue(
    order_id: OrderId,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Send an open order without a running execution to the queue now, under a new attempt."""
    connection = operate(stack, outputs, as_json=as_json)
    _change_order(orders.requeue, order_id, "Requeue it", connection, yes=yes, as_json=as_json)


@orders_app.command()
def retry(
    order_id: Annotated[
        str | None, typer.Argument(metavar="ORDER_ID", help="Id of the order.", show_default=False)
    ] = None,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="Retry the FAILED orders, the newest first.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="With --all-failed: print what would be retried, change nothing."),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="With --all-failed: maximum number of orders.")
    ] = 1000,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Retry a FAILED order: set it to PENDING under a new attempt and send it to the queue."""
    if (order_id is None) is not all_failed:
        _print_error("Write an ORDER_ID or --all-failed, and not both.")
        raise typer.Exit(ExitCode.WRONG_USAGE)
    connection = operate(stack, outputs, as_json=as_json)
    if order_id is not None:
        _change_order(orders.retry, order_id, "Retry it", connection, yes=yes, as_json=as_json)
    else:
        _retry_all(connection, limit, dry_run=dry_run, yes=yes, as_json=as_json)


def _retry_all(
    connection: contextlib.AbstractContextManager[OperatedStack],
    limit: int,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Retry the FAILED orders, after one question, and print the outcome of each."""
    asks = not (yes or dry_run)
    if asks:
        _check_terminal("orders retry")
    with connection as operated:
        found, are_more = orders.list_orders(operated, OrderQuery(status=OrderStatus.FAILED), limit=limit)
        if asks:
            _confirm(f"{len(found)} orders are FAILED. Retry them on stack {operated.name}?")
        sentences = {}
        for order in found:
            sentences[order.order_id] = "would be retried"
            if not dry_run:
                try:
                    sentences[order.order_id] = orders.retry(operated, order.order_id).sentence
                except orders.Refused as error:  # changed since the list was read
                    sentences[order.order_id] = str(error)
        if as_json:
            print(views.as_json({"dryRun": dry_run, "orders": sentences, "more": are_more}))
            return
        for order_id, sentence in sentences.items():
            _console.print(plain(f"Order {order_id} {sentence}." if dry_run else sentence), soft_wrap=True)
        _console.print(f"{'Would retry' if dry_run else 'Handled'} {len(found)} FAILED orders.")
        if are_more:
            _console.print(f"There are more than these {limit}: run the command again.")


@orders_app.command()
def release(
    order_id: OrderId,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Release the reservation of a FAILED order that was not shipped and never will be."""
    question = "Is it certain that it was not shipped and never will be? Release its reservation"
    connection = operate(stack, outputs, as_json=as_json)
    _change_order(orders.release, order_id, question, connection, yes=yes, as_json=as_json)


@orders_app.command()
def overdue(
    hours: Annotated[
        int, typer.Option(min=0, help="Minimum silence in hours: the stack's fulfillmentOverdueHours.")
    ] = 48,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="Maximum number, the longest silence first.")
    ] = 20,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """List orders in fulfillment of which the fulfillment system reported nothing for long."""
    with operate(stack, outputs, as_json=as_json) as operated:
        found, are_more = orders.list_overdue(operated, hours=hours, limit=limit)
        if as_json:
            print(views.as_json(msgspec.to_builtins(found)))
            return
        nothing = f"No order in fulfillment waits for {hours} hours or more."
        _print_table(views.overdue_view(found, clock.now()) if found else nothing, _more(limit, are_more))


@orders_app.command()
def receive(
    order_id: OrderId,
    return_id: Annotated[
        str, typer.Argument(metavar="RETURN_ID", help="Id of the return.", show_default=False)
    ],
    lines: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            metavar="PRODUCT_ID=QUANTITY",
            help="What arrived. Repeat it per product. Without it: what was announced.",
            show_default=False,
        ),
    ] = None,
    restock: Annotated[
        bool | None,
        typer.Option(
            "--restock/--no-restock",
            help="Put the items back to stock, or do not. Without it: as announced.",
            show_default=False,
        ),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Record that a return arrived: an announced one, or with --line a new one."""
    pieces = _pieces_of(lines or [])

    def receive(operated: OperatedStack, order_id: str) -> orders.Outcome:
        return orders.receive(operated, order_id, return_id, pieces=pieces, restock=restock)

    effect = {True: " and put its items back to stock", False: ", nothing to stock", None: ""}[restock]
    connection = operate(stack, outputs, as_json=as_json)
    question = f"Record return {return_id} as received{effect}"
    _change_order(receive, order_id, question, connection, yes=yes, as_json=as_json)


def _pieces_of(lines: list[str]) -> dict[str, int]:
    """Return the values of --line as pieces by product. Exits for another text."""
    pieces: dict[str, int] = {}
    for line in lines:
        product, _, quantity = line.rpartition("=")
        if not product or not re.fullmatch(r"[0-9]{1,9}", quantity) or product in pieces:
            _print_error(
                f"--line {line!r} is not valid. Write PRODUCT_ID=QUANTITY, such as lamp-1=2, "
                "once per product."
            )
            raise typer.Exit(ExitCode.WRONG_USAGE)
        pieces[product] = int(quantity)
    return pieces


@queue_app.command()
def pause(
    reason: Annotated[
        str, typer.Option(help="Why, for `overview` and the next operator.", show_default=False)
    ],
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Stop the delivery of the orders queue to order_consumer. Orders wait there, for up to four days.

    Running executions continue. The reason is a tag of the event source mapping.
    """
    if not yes:
        _check_terminal("queue pause")
    with operate(stack, outputs, as_json=as_json) as operated:
        if not yes:
            _confirm(
                f"No new order starts until `queue resume`. Pause the orders queue on stack {operated.name}?"
            )
        changed = operated.delivery.pause(reason=reason, at=clock.now())
        sentence = (
            "The orders queue is paused: order_consumer receives no messages."
            if changed
            else "The orders queue was paused for this reason before; nothing changed."
        )
        _print_delivery(operated, sentence, changed=changed, as_json=as_json)


@queue_app.command()
def resume(
    yes: Yes = False, as_json: AsJson = False, stack: StackName = "", outputs: OutputsFile = None
) -> None:
    """Deliver the orders queue to order_consumer again."""
    if not yes:
        _check_terminal("queue resume")
    with operate(stack, outputs, as_json=as_json) as operated:
        if not yes:
            state = operated.delivery.state()
            why = f"paused ({state.reason or 'no reason was given'})" if state.is_paused else "not paused"
            _confirm(f"The orders queue is {why}. Resume it on stack {operated.name}?")
        changed = operated.delivery.resume()
        sentence = (
            "The orders queue is delivered to order_consumer again."
            if changed
            else "The orders queue was not paused; nothing changed."
        )
        _print_delivery(operated, sentence, changed=changed, as_json=as_json)


def _print_delivery(operated: OperatedStack, sentence: str, *, changed: bool, as_json: bool) -> None:
    if as_json:
        state = msgspec.to_builtins(operated.delivery.state())
        print(views.as_json({"changed": changed, "message": sentence, "delivery": state}))
    else:
        _console.print(sentence)


@dlq_app.command("list")
def list_dead_letters(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number.")] = 50,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """List dead letters, each with the reason and with what happens when it is sent back.

    The messages are invisible to other readers while the command runs.
    """
    with operate(stack, outputs, as_json=as_json) as operated:
        with operated.dead_letters as queue:
            # One more than is printed shows whether there are more.
            found = [letter for batch in queue.batches(limit + 1) for letter in batch]
        letters = found[:limit]
        if as_json:
            print(views.as_json(msgspec.to_builtins(letters)))
            return
        if not letters:
            _console.print("The dead-letter queue is empty.")
            return
        _print_table(views.dead_letters_view(letters, clock.now()), _summary(letters))
        _print_table(_more(limit, len(found) > limit))


@dlq_app.command("show")
def show_dead_letter(
    message_id: MessageId,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Show one dead letter with its body."""
    with operate(stack, outputs, as_json=as_json) as operated:
        with operated.dead_letters as queue:
            letter = queue.find(message_id)
        if as_json:
            print(views.as_json(msgspec.to_builtins(letter)))
        else:
            _console.print(views.dead_letters_view([letter], clock.now()), soft_wrap=True)
            _console.print(plain(f"Body: {visible(letter.body)}"), soft_wrap=True)


@dlq_app.command("delete")
def delete_dead_letter(
    message_id: MessageId,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Delete one dead letter. An order that waits for it is requeued when it is due."""
    if not yes:
        _check_terminal("dlq delete")
    with operate(stack, outputs, as_json=as_json) as operated:
        with operated.dead_letters as queue:
            letter = queue.find(message_id)
            if not yes:
                _confirm(
                    f"Dead letter {message_id} ({letter.verdict.value}: {letter.reason}). "
                    f"Delete it on stack {operated.name}?"
                )
            queue.delete(letter)
        if as_json:
            print(views.as_json(msgspec.to_builtins(letter)))
        else:
            _console.print(f"Deleted dead letter {plain(message_id)}.", soft_wrap=True)


@dlq_app.command()
def redrive(
    message_id: Annotated[
        str | None,
        typer.Argument(
            metavar="MESSAGE_ID",
            help="Only this message, by its id from `dlq list --json`.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent, send nothing.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of messages to read.", show_default="all")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also send messages that will fail again: malformed, unknown order.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Send dead letters back to the orders queue, except those that would fail again.

    An interruption loses no message. At worst a message is sent twice, which changes nothing.
    """
    if message_id is not None and limit is not None:
        _print_error("Write a MESSAGE_ID or --limit, and not both.")
        raise typer.Exit(ExitCode.WRONG_USAGE)
    asks = not (yes or dry_run)
    if asks:
        _check_terminal("dlq redrive")
    with operate(stack, outputs, as_json=as_json) as operated:
        sent: list[DeadLetter] = []
        kept: list[DeadLetter] = []
        refused = 0
        with operated.dead_letters as queue:
            batches: Iterable[list[DeadLetter]]
            if message_id is None:
                total = queue.count() if limit is None else min(limit, queue.count())
                batches = queue.batches(limit)
                question = (
                    f"The dead-letter queue has about {_count(total)}. Send back those that can be processed"
                )
            else:
                letter = queue.find(message_id)
                why = f"({letter.verdict.value}: {letter.reason})"
                if letter.verdict.fails_again and not every:
                    raise orders.Refused(
                        f"Dead letter {message_id} would fail again {why}. Add --all to send it nevertheless."
                    )
                total, batches = 1, [[letter]]
                question = f"Dead letter {message_id} {why}. Send it back"
            if asks:
                _confirm(f"{question} on stack {operated.name}?")
            with _progress(total) as advance:
                for batch in batches:
                    chosen = [letter for letter in batch if every or not letter.verdict.fails_again]
                    accepted = chosen if dry_run else queue.send_back(chosen)
                    sent += accepted
                    kept += [letter for letter in batch if letter not in accepted]
                    refused += len(chosen) - len(accepted)
                    advance(len(batch))
        if as_json:
            print(views.as_json({"dryRun": dry_run, **msgspec.to_builtins({"sent": sent, "left": kept})}))
        else:
            _print_redrive(sent, kept, dry_run=dry_run)
        if refused:
            raise orders.NotQueued(
                f"The orders queue did not accept {_count(refused)}. Run the command again."
            )


@events_app.command()
def replay(
    first: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Events since then, in UTC: 2026-01-31 or 2026-01-31T08:00.",
            show_default=False,
        ),
    ],
    last: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TIME", help="Events until then; a day is included.", show_default="now"
        ),
    ] = None,
    placed_from: Annotated[
        str | None,
        typer.Option(
            "--placed-from",
            metavar="TIME",
            help="Only of orders placed since then.",
            show_default="30 days before --from",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be sent, send nothing.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Maximum number of events, the oldest first.")
    ] = 10_000,
    yes: Yes = False,
    as_json: AsJson = False,
    stack: StackName = "",
    outputs: OutputsFile = None,
) -> None:
    """Send the order events of a period again, to all subscribers of the stack's bus.

    They are rebuilt from the orders, with the same ids. docs/events.md says what cannot be rebuilt. At most
    100 events a second are sent.
    """
    since = _moment("--from", first)
    before = _moment("--to", last, is_end=True) if last else clock.now()
    placed = (
        _moment("--placed-from", placed_from) if placed_from else clock.minutes_before(since, 30 * 24 * 60)
    )
    if since >= before:
        _print_error(f"--from {since} is not before --to {before}.")
        raise typer.Exit(ExitCode.WRONG_USAGE)
    asks = not (yes or dry_run)
    if asks:
        _check_terminal("events replay")
    with operate(stack, outputs, as_json=as_json) as operated:
        events, are_more = find_events(operated, first=since, before=before, placed_from=placed, limit=limit)
        if asks:
            _confirm(f"Send {_count_events(events)} again on stack {operated.name}?")
        if not dry_run:
            with _progress(len(events), "Sending events") as advance:
                send_again(operated, events, advance)
        next_from = events[-1].detail.occurred_at if are_more else None
        if as_json:
            found = [{"detailType": name, "detail": msgspec.to_builtins(detail)} for name, detail in events]
            print(views.as_json({"dryRun": dry_run, "events": found, "nextFrom": next_from}))
            return
        _console.print(f"{'Would send' if dry_run else 'Sent'} {_count_events(events)}.")
        if next_from:
            _console.print(f"There are more than these {limit}: continue with --from {next_from}.")


def _moment(option: str, text: str, *, is_end: bool = False) -> str:
    """Return the value of an option as a time in UTC. Exits for another text.

    A day begins at midnight, or with `is_end` ends at the next one.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _print_error(f"{option} {text!r} is not valid. Write a time in UTC, such as 2026-01-31T08:00.")
        raise typer.Exit(ExitCode.WRONG_USAGE) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    days = 1 if is_end and len(text) == len("2026-01-31") else 0
    return clock.minutes_after(moment.astimezone(UTC).isoformat(), days * 24 * 60)


def _count_events(events: list[Event]) -> str:
    """`3 events of 2 orders (2 OrderValidated, 1 OrderFailed)`."""
    names = Counter(event.name for event in events)
    kinds = ", ".join(f"{count} {name}" for name, count in names.most_common())
    orders = len({event.detail.order_id for event in events})
    return f"{len(events)} events of {orders} orders{f' ({kinds})' if kinds else ''}"


def _print_redrive(sent: list[DeadLetter], kept: list[DeadLetter], *, dry_run: bool) -> None:
    if kept:
        _console.print(views.dead_letters_view(kept, clock.now()), soft_wrap=True)
    would_send, would_leave = ("Would send", "would leave") if dry_run else ("Sent", "left")
    _console.print(f"{would_send} {_summary(sent)} back; {would_leave} {_summary(kept)}.")


def _summary(letters: list[DeadLetter]) -> str:
    """`3 messages (2 overtaken, 1 malformed)`."""
    verdicts = Counter(letter.verdict.value for letter in letters)
    kinds = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    return f"{_count(len(letters))}{f' ({kinds})' if kinds else ''}"


def _count(messages: int) -> str:
    return f"{messages} message{'' if messages == 1 else 's'}"


def _print_outcome(outcome: orders.Outcome, *, as_json: bool) -> None:
    if as_json:
        print(views.as_json(views.outcome_as_data(outcome)))
    else:
        _console.print(plain(outcome.sentence), soft_wrap=True)


@contextlib.contextmanager
def _progress(total: int, action: str = "Reading messages") -> Iterator[Callable[[int], None]]:
    columns = (TextColumn(action), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def main() -> None:
    """Run the command that the arguments name."""
    bypass_proxies_for_loopback()
    # A closed pipe (`| head`) ends the process without an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # The domain's log lines are meant for CloudWatch. Here one sentence describes the error.
    logger.setLevel("CRITICAL")
    app()
