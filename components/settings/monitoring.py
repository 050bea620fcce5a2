"""Settings of the alarms: their receiver, their runbook, and their thresholds."""

import re
from dataclasses import dataclass
from typing import Final

from components.settings.loader import SettingsError, Values
from components.settings.requeue import RequeueSettings

_NONE: Final = "none"
_EMAIL: Final = re.compile(rf"({_NONE}|[^@\s]+@[^@\s]+\.[^@\s]+)?")
_RUNBOOK: Final = re.compile(r"https://[^\s#]+|docs/[\w./-]+\.md")


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Receiver, runbook and thresholds of the alarms. `is_receiver_decided` is False if no value was set."""

    email: str | None
    is_receiver_decided: bool
    runbook_url: str
    error_percent: int
    latency_ms: int
    queue_seconds: int

    @classmethod
    def read(cls, values: Values, requeue: RequeueSettings) -> "MonitoringSettings":
        """Reads the keys; the alarm on the queue must come before the requeue pauses."""
        email = values.matching("alarmEmail", _EMAIL, f"an e-mail address, {_NONE}, or an empty text")
        return cls(
            email=None if email in {"", _NONE} else email,
            is_receiver_decided=email != "",
            runbook_url=values.matching(
                "runbookUrl",
                _RUNBOOK,
                "an https URL or a page of this repository such as docs/operations.md, without a #section",
            ),
            error_percent=values.integer("alarmErrorPercent", 1, 99),
            latency_ms=values.integer("alarmLatencyMs", 1, 29_000),
            queue_seconds=_queue_seconds(values, requeue.stalled_after_minutes),
        )


def _queue_seconds(values: Values, stalled_after_minutes: int) -> int:
    key = "alarmQueueSeconds"
    seconds = values.integer(key, 60)
    # While messages wait that long the requeue sends no order again, so the alarm must come before.
    if seconds >= 60 * stalled_after_minutes:
        raise SettingsError(
            f"{key}: {seconds} is too high. Use less than the {stalled_after_minutes} minutes of "
            "stalledAfterMinutes."
        )
    return seconds
