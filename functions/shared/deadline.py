"""The time by which the running invocation must return.

Lambda ends a function at its timeout without a log line and without an error that the caller could handle. So
no call starts that could take longer than the time that is left.
"""

from __future__ import annotations

import math
import time
from typing import Any

# Seconds for what follows the last call: the log line and the answer.
RESERVE = 0.3

_ends_at = math.inf


def start(context: Any) -> None:
    """Reads the time that an invocation has from its Lambda context."""
    global _ends_at
    _ends_at = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE


def seconds_left() -> float:
    """Returns the seconds that calls may still take; infinity if no invocation was started."""
    return _ends_at - time.monotonic()
