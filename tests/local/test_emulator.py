"""The emulator listens on loopback only, and ends with the process that started it."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws.emulator import EmulatorError, is_alive, remove_stale_folders, start_emulator
from local.engine.program import PROJECT_ROOT
from tests.local import sample
from tests.local.conftest import WriteProject

# Deploys the project in the first argument, starts a Lambda worker, prints what runs, and waits.
PARENT = """
import json, pathlib, sys, time
from local.stack import running_stack

with running_stack(root=pathlib.Path(sys.argv[1])) as stack:
    stack.client("lambda").invoke(FunctionName=stack.outputs["task"], Payload="{}")
    print(json.dumps({"pid": stack.pid, "folder": str(stack.folder)}), flush=True)
    time.sleep(60)
"""


def _group(pid: int) -> set[int]:
    """Returns the running processes of a process group."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listing.stdout.splitlines()]
    return {int(row[0]) for row in rows if int(row[1]) == pid and not row[2].startswith("Z")}


def _wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def parent(write_project: WriteProject) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process that runs the sample stack, and what it printed."""
    root = write_project(sample.MAIN, schema=sample.SCHEMA, files=sample.FILES)
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert process.stdout
    yield process, json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)
def test_when_the_parent_ends_no_process_and_no_file_is_left(
    parent: tuple[subprocess.Popen[str], dict[str, Any]], number: signal.Signals
) -> None:
    process, running = parent
    assert len(_group(running["pid"])) >= 2  # the emulator and a Lambda worker

    process.send_signal(number)
    process.wait(timeout=10)

    assert _wait_for(lambda: not _group(running["pid"]))
    assert _wait_for(lambda: not Path(running["folder"]).exists())


def test_stopping_leaves_no_process_and_no_file_and_may_be_repeated() -> None:
    emulator = start_emulator()
    assert emulator.endpoint.is_ready()

    emulator.stop()
    emulator.stop()

    assert not _group(emulator.pid)
    assert not emulator.folder.exists()
    assert not emulator.endpoint.is_ready()


def test_the_emulator_listens_on_one_port_of_loopback() -> None:
    with start_emulator() as emulator:
        sockets = _listening(emulator.pid)

    assert sockets == {("127.0.0.1", emulator.endpoint.port)}


def _listening(pid: int) -> set[tuple[str, int]]:
    """Returns the addresses on which a process listens, from Linux's tables."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc")
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{table}")
        for row in path.read_text().splitlines()[1:] if path.exists() else []:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                shown = socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else address
                found.add((shown, int(port, 16)))
    return found


def test_no_key_is_on_the_command_line() -> None:
    with start_emulator() as emulator:
        shown = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(emulator.pid)], capture_output=True, text=True, check=True
        )

    assert shown.stdout.split()[-2:] == [emulator._process.args[2], str(emulator.folder)]  # type: ignore[index]


def test_a_taken_port_is_reported_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(EmulatorError, match=f"Port {port} on 127.0.0.1 is in use"):
            start_emulator(port=port)


def test_two_emulators_run_at_the_same_time() -> None:
    with start_emulator() as one, start_emulator() as two:
        one.endpoint.client("sqs").create_queue(QueueName="q")

        assert not two.endpoint.client("sqs").list_queues().get("QueueUrls")


def test_the_folder_of_a_crashed_emulator_is_removed_and_a_running_one_is_kept() -> None:
    stale = Path(tempfile.mkdtemp(prefix="orderflow-local-"))
    (stale / "lock").touch()

    with start_emulator() as emulator:
        remove_stale_folders()

        assert not stale.exists()
        assert is_alive(emulator.folder)
