"""schemathesis generates requests from the contract and checks the answers of the running API."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.stack import RunningStack
from tests.e2e.conftest import Api, wait_for

ROOT = Path(__file__).parents[2]
SECONDS = 25


def test_schemathesis_finds_no_difference_from_the_contract(
    api: Api, stack: RunningStack, tmp_path: Path
) -> None:
    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
            *(str(ROOT / "tests/e2e/schemathesis.toml"), "run", str(ROOT / "docs/openapi.json")),
            *("--url", api.url, "--max-time", str(SECONDS), "--seed", "1", "--warnings", "off"),
        ],
        cwd=tmp_path,  # it writes files
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks",
            "ORDERFLOW_API_KEY": api.paid_key,
        },
        capture_output=True,
        text=True,
        timeout=SECONDS + 240,  # only against a hang: its start alone takes a minute on a busy machine
        check=False,
    )
    assert run.returncode == 0, run.stdout[-8000:]
    # The generated orders would delay those of later tests.
    wait_for(lambda: _count_messages(stack), lambda waiting: waiting == 0, seconds=60)


def _count_messages(stack: RunningStack) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs["queueUrl"], AttributeNames=names
    )["Attributes"]
    return sum(int(attributes[name]) for name in names)
