"""The log lines of a stack's functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple

import typer
from rich.text import Text

from functions.shared import clock
from functions.shared.domain.errors import NotFound
from local.terminal import visible_lines
from ops.stacks import NoStack, OperatedStack

# Lambda's own lines around each invocation.
_PLATFORM_LINES: Final = ("START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START ")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


class LogLine(NamedTuple):
    """A line: its time in milliseconds since 1970, the function, its log stream, and the text."""

    at: int
    function: str
    stream: str
    text: str

    @property
    def record(self) -> dict[str, Any] | None:
        """The JSON object that a function wrote, or None for other text."""
        try:
            record = json.loads(self.text)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None


def parse_period(text: str) -> int:
    """Return a period such as `15m` in seconds. Raises `typer.BadParameter` for other texts."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a period. Write a number and s, m, h or d, such as 15m.")
    return int(found[1]) * _SECONDS[found[2]]


def find_lines(
    stack: OperatedStack,
    *,
    function: str | None,
    order: str | None,
    text: str,
    seconds: int,
    limit: int,
) -> tuple[list[LogLine], bool]:
    """Return lines of the last seconds, the oldest first, and whether there are more.

    Those of one function, with an order's id in the record, and with a text, if these are given. Raises
    `NoStack` if Pulumi did not name the stack's resources, `NotFound` for an unknown function, and botocore's
    errors.
    """
    client = stack.client("logs")
    groups = _log_groups(client, stack)
    if function is not None:
        if function not in groups:
            raise NotFound(f"there is no function {function!r}; use one of {', '.join(sorted(groups))}")
        groups = {function: groups[function]}
    since = (clock.epoch(clock.now()) - seconds) * 1000
    found = read_lines(client, groups, since=since, order=order, text=text, limit=limit + 1)
    return found[:limit], len(found) > limit


def _log_groups(client: Any, stack: OperatedStack) -> dict[str, str]:
    """Return the functions' log groups, by the names that `components.names` gives them."""
    names = stack.outputs.project_and_stack
    if names is None:
        raise NoStack(
            "The functions' log groups cannot be found: the output stateMachineArn has no name of Pulumi "
            f"({stack.outputs.state_machine_arn})."
        )
    prefix = f"/aws/lambda/{'/'.join(names)}/"
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    found = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    return {name.removeprefix(prefix): name for name in found}


def read_lines(
    client: Any,
    groups: Mapping[str, str],
    *,
    since: int = 0,
    order: str | None = None,
    text: str = "",
    limit: int | None = None,
    platform: bool = False,
) -> list[LogLine]:
    """Return the lines of log groups, by function, the oldest first.

    `since` is in milliseconds since 1970. With `platform`, Lambda's own lines around each invocation are
    included. Raises botocore's errors.
    """

    def read(function: str, group: str) -> Iterator[LogLine]:
        pages = client.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=max(since, 0), filterPattern=_pattern(order, text)
        )
        for event in (event for page in pages for event in page["events"]):
            line = LogLine(event["timestamp"], function, event["logStreamName"], event["message"].rstrip())
            # CloudWatch does not apply all of the filter.
            if (
                text in line.text
                and (platform or not line.text.startswith(_PLATFORM_LINES))
                and (order is None or (line.record or {}).get("order_id") == order)
            ):
                yield line

    # A group's lines arrive in order of time.
    found = [line for function, group in groups.items() for line in islice(read(function, group), limit)]
    return sorted(found, key=lambda line: line.at)[:limit]


def _pattern(order: str | None, text: str) -> str:
    """Return what CloudWatch filters by. It has no pattern for a field and a text at once.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    pattern = f'{{ $.order_id = "{order}" }}' if order is not None else f'"{text}"'
    value = order if order is not None else text
    return pattern if value and not re.search(r'["\\*]', value) else ""


def line_view(line: LogLine, *, width: int, is_short: bool) -> Text:
    """Return a line after its function's name, which is padded to `width`.

    A short line has of a record the time, the attempt, the message and the outcome.
    """
    record = line.record if is_short else None
    text = line.text if record is None else _summary(record)
    return Text.assemble((f"{line.function:<{width}}", "cyan"), "  ", visible_lines(text))


def _summary(record: Mapping[str, Any]) -> str:
    attempt = f"attempt {record['attempt']}: " if "attempt" in record else ""
    outcome = f" ({record['outcome']})" if "outcome" in record else ""
    return f"{record.get('timestamp', '')}  {attempt}{record.get('message', '')}{outcome}"


def line_as_data(line: LogLine) -> dict[str, Any]:
    """Return a line for JSON. `line` is the record, or the text of another line."""
    at = datetime.fromtimestamp(line.at / 1000, UTC).isoformat(timespec="milliseconds")
    return {"at": at.replace("+00:00", "Z"), "function": line.function, "line": line.record or line.text}
