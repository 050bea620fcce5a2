"""Log lines and metrics of the functions at each log level of the stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from local.memory.functions import ENVIRONMENT

PROGRAM = """
import logging
logging.getLogger().setLevel("DEBUG")  # as the runtime client does before it imports the handler
from functions.shared.observability import emit, logger
for level in ("debug", "info", "warning"):
    getattr(logger, level)(level)
logger.append_keys(order_id="o-1", attempt=2)
emit(counts=("Things",), properties={"outcome": "Found"})
logging.getLogger("botocore.endpoint").debug("a secret")
"""


def records(level: str) -> list[dict[str, object]]:
    """Returns the log lines of a new process with this log level in its environment."""
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_LOG_LEVEL": level,
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True)
    assert b"secret" not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("level", "written"),
    [("DEBUG", ["debug", "info", "warning"]), ("INFO", ["info", "warning"]), ("WARNING", ["warning"])],
)
def test_lines_below_the_level_of_the_stack_are_not_written(level: str, written: list[str]) -> None:
    messages = [record.get("message") for record in records(level)]
    assert [message for message in messages if message in {"debug", "info", "warning"}] == written


def test_metrics_are_written_at_every_level_and_can_be_found_by_order() -> None:
    (record,) = [record for record in records("CRITICAL") if "_aws" in record]
    assert (record["Things"], record["outcome"]) == ([1.0], "Found")
    assert (record["order_id"], record["attempt"]) == ("o-1", 2)
