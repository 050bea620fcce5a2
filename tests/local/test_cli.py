"""The commands of `python -m local`, on the project's own program."""

import contextlib
import importlib
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from local.aws.emulator import is_alive
from local.cli import app
from local.engine.program import PROJECT_ROOT
from local.stack import RunningStack, connect


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with its own state folder. Stops an instance that a test leaves running."""
    folder = tmp_path / "state"
    yield os.environ | {"ORDERFLOW_STATE_FOLDER": str(folder), "PYTHONUNBUFFERED": "1"}
    if (folder / "instance.json").exists():
        connect(state_folder=folder).stop()


def _local(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _log_of(environment: dict[str, str], order: str, function: str) -> list[str]:
    """Returns the lines of `logs --order`, when the function has written one."""
    for _ in range(60):
        lines = _local(environment, "logs", "--order", order).stdout.splitlines()
        if any(line.startswith(function) for line in lines):
            return lines
        time.sleep(0.5)
    raise AssertionError(lines)


def _error(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split())


def _check_printed_lines(output: str) -> None:
    """Runs the lines that `up` prints, as they stand there. The last one is repeated until the order ends."""

    def answer_of(line: str) -> Any:
        run = subprocess.run(["sh", "-c", f"{line} --fail"], capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{line}\n{run.stderr}"
        return json.loads(run.stdout)

    *lines, watch = (line.strip() for line in output.splitlines() if line.startswith("  curl "))
    order_id = [answer_of(line) for line in lines][-1]["orderId"]
    deadline = time.monotonic() + 60
    while (orders := answer_of(watch)["items"])[0]["status"] != "FULFILLED" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [(order["orderId"], order["status"]) for order in orders] == [(order_id, "FULFILLED")]


def test_up_outputs_status_logs_and_down_in_the_background(environment: dict[str, str]) -> None:
    up = _local(environment, "up", "--detach")
    assert up.returncode == 0, up.stderr
    assert "Deployed" in up.stdout

    outputs = json.loads(_local(environment, "outputs").stdout)
    assert set(outputs["apiKeys"]) == {"free", "paid"}
    assert {"endpointUrl", "region", "awsAccessKeyId", "awsSecretAccessKey", "tableNames"} <= set(outputs)
    assert requests.get(f"{outputs['apiUrl']}/", timeout=20).status_code == 200

    exports = _local(environment, "env").stdout
    shell = subprocess.run(
        ["sh", "-c", 'eval "$0"; echo "$API_URL $API_KEY $AWS_ENDPOINT_URL"', exports],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout.split() == [outputs["apiUrl"], outputs["apiKeys"]["paid"], outputs["endpointUrl"]]

    if shutil.which("curl"):
        _check_printed_lines(up.stdout)

    order = requests.post(
        f"{outputs['apiUrl']}/orders",
        json={"userId": "unknown-user", "items": [{"productId": "p", "quantity": 1}]},
        headers={"x-api-key": outputs["apiKeys"]["paid"]},
        timeout=20,
    ).json()["orderId"]
    lines = _log_of(environment, order, "update_order_status")
    assert all("order_id" not in line for line in lines)
    assert any("validate_order" in line and "unknown_user" in line for line in lines)

    again = _local(environment, "up")
    assert again.returncode == 1
    assert "running already" in _error(again)

    assert "running" in _local(environment, "status").stdout
    assert "service_api" in _local(environment, "logs", "service_api", "--platform").stdout
    result = _local(environment, "logs", "unknown")
    assert result.returncode == 1
    assert "no function 'unknown'; use one of" in _error(result)

    state = Path(environment["ORDERFLOW_STATE_FOLDER"])
    assert (state / "instance.json").stat().st_mode & 0o077 == 0
    folder = connect(state_folder=state).folder
    assert _local(environment, "down").returncode == 0
    assert not is_alive(folder)
    assert not folder.exists()
    assert list(state.iterdir()) == [state / "secret"]  # of its URL and keys


def test_the_documented_commands_run_a_fulfillment_system(environment: dict[str, str]) -> None:
    text = (PROJECT_ROOT / "docs" / "fulfillment.md").read_text()
    up, partner, *_ = re.findall(r"^python -m .*$", text, re.MULTILINE)
    (settings,) = re.findall(r"^eval .*?(?=  #)", text, re.MULTILINE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    started = _local(environment, *shlex.split(up.replace("8787", str(port)))[3:])
    assert started.returncode == 0, started.stderr
    assert "fulfillmentSecret in `python -m local outputs`" in started.stdout

    # The secret comes from the environment. An accepted order proves that it is the right one.
    api_url = json.loads(_local(environment, "outputs").stdout)["apiUrl"]
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        ["bash", "-c", f"{settings}; exec {partner} --port {port}"],
        env=environment,
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout
        assert serving.stdout.readline() == f"serving on http://127.0.0.1:{port}/, calling {api_url}\n"
        try:
            demo = _local(environment, "demo")
        finally:
            serving.send_signal(signal.SIGINT)
        log = serving.stdout.read()
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert re.search(r"^accept +201 ", log, re.MULTILINE)


@pytest.mark.parametrize(
    ("keys", "used"), [({"free": "f", "paid": "p"}, "p"), ({"gold": "g"}, "g")], ids=["paid", "another"]
)
def test_the_demo_uses_the_paid_plan_or_else_the_first_one(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], used: str
) -> None:
    monkeypatch.setattr("local.cli.connect", lambda: SimpleNamespace(api_url="url", api_keys=keys))
    monkeypatch.setattr("local.demo.run_demo", lambda *called: called[:2] == ("url", used))

    assert CliRunner().invoke(app, ["demo"]).exit_code == 0


def test_control_characters_of_log_lines_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        {"timestamp": 1, "logStreamName": "s", "message": "Traceback\n\tin [red] \x1b[2J \x9b2J \u202e"}
    ]
    paginator = SimpleNamespace(paginate=lambda **_: [{"events": events}])
    client = SimpleNamespace(get_paginator=lambda _: paginator)
    running = SimpleNamespace(log_groups={"orders_api": "group"}, client=lambda _: client)
    monkeypatch.setattr("local.cli.connect", lambda: running)

    printed = CliRunner().invoke(app, ["logs"]).stdout

    assert [line.split() for line in printed.splitlines()] == [
        ["orders_api", "Traceback"],
        ["in", "[red]", "\\u001b[2J", "\\u009b2J", "\\u202e"],
    ]


def test_without_an_instance_each_command_reports_that_it_is_not_running(environment: dict[str, str]) -> None:
    for command, code in (("down", 1), ("outputs", 1), ("logs", 1)):
        done = _local(environment, command)
        assert done.returncode == code
        assert "The embedded AWS is not running; `python -m local up` starts it." in _error(done)
        assert done.stdout == ""
    assert _local(environment, "status").returncode == 3


def test_a_taken_port_is_reported_and_no_instance_is_started(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        up = _local(environment, "up", "--port", str(taken.getsockname()[1]))

    assert up.returncode == 1
    assert "is in use; choose another one" in _error(up)
    assert up.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_in_the_foreground_up_runs_until_a_signal_ends_it(
    environment: dict[str, str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "local", "up"],
        env=environment,
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout
        for line in up.stdout:
            if "Ctrl-C" in line:
                break
        state = Path(environment["ORDERFLOW_STATE_FOLDER"])
        folder = connect(state_folder=state).folder
        up.send_signal(number)
        rest = up.stdout.read()

    assert up.returncode == 0
    assert "All its data is removed." in rest
    assert not folder.exists()
    assert list(state.iterdir()) == [state / "secret"]  # of its URL and keys


def test_an_instance_can_be_started_after_a_crash(environment: dict[str, str]) -> None:
    _local(environment, "up", "--detach")
    state = Path(environment["ORDERFLOW_STATE_FOLDER"])
    crashed = connect(state_folder=state)
    os.killpg(crashed.pid, signal.SIGKILL)

    assert _local(environment, "status").returncode == 3
    assert not crashed.folder.exists()
    assert _local(environment, "up", "--detach").returncode == 0


def _start(environment: dict[str, str], *options: str) -> RunningStack:
    started = _local(environment, "up", "--detach", *options)
    assert started.returncode == 0, started.stderr
    return connect(state_folder=Path(environment["ORDERFLOW_STATE_FOLDER"]))


def _await_status(url: str, headers: dict[str, str], status: str) -> dict[str, Any]:
    for _ in range(120):
        order: dict[str, Any] = requests.get(url, headers=headers, timeout=20).json()
        if order["status"] == status:
            return order
        time.sleep(0.25)
    raise AssertionError(order)


def test_with_keep_items_messages_and_the_signing_secret_outlast_a_stop_and_a_crash(
    environment: dict[str, str],
) -> None:
    url = ("--fulfillment-url", "http://127.0.0.1:9/")
    first = _start(environment, "--keep", *url)
    headers = {"x-api-key": first.api_keys["paid"]}
    product = {"title": "Lamp \U0001f4a1", "price": 1999, "stock": 5}
    created = requests.post(f"{first.api_url}/products", json=product, headers=headers, timeout=20).json()
    gone = requests.post(f"{first.api_url}/products", json=product, headers=headers, timeout=20).json()
    path = f"{first.api_url}/products/{gone['productId']}"
    assert requests.delete(path, headers=headers, timeout=20).status_code == 204
    body = {"userId": "unknown", "items": [{"productId": created["productId"], "quantity": 1}]}
    order = requests.post(f"{first.api_url}/orders", json=body, headers=headers, timeout=20).json()
    order = _await_status(f"{first.api_url}/orders/{order['orderId']}", headers, "REJECTED")
    dead_letters = {"QueueUrl": first.outputs["deadLetterQueueUrl"]}
    first.client("sqs").send_message(**dead_letters, MessageBody="dead")
    time.sleep(1)  # messages are written a fifth of a second after a change
    down = _local(environment, "down")
    assert f"Its data is kept in {first.kept_data}" in down.stdout
    assert first.kept_data
    assert {file.stat().st_mode & 0o077 for file in first.kept_data.iterdir()} == {0}

    second = _start(environment, "--keep", *url)
    assert second.api_url == first.api_url
    assert second.signing_secret == first.signing_secret
    read = requests.get(f"{first.api_url}/orders/{order['orderId']}", headers=headers, timeout=20)
    assert read.json() == order
    listed = requests.get(f"{first.api_url}/users/unknown/orders", headers=headers, timeout=20).json()
    assert listed["items"] == [order]
    assert requests.get(path, headers=headers, timeout=20).status_code == 404
    (message,) = second.client("sqs").receive_message(**dead_letters)["Messages"]
    assert message["Body"] == "dead"
    changed = requests.patch(
        f"{first.api_url}/products/{created['productId']}",
        json={"title": "Desk"},
        headers=headers,
        timeout=20,
    ).json()
    os.killpg(second.pid, signal.SIGKILL)

    third = _start(environment, "--keep")
    path = f"{first.api_url}/products/{created['productId']}"
    assert requests.get(path, headers=headers, timeout=20).json() == changed
    assert _local(environment, "down").returncode == 0

    _start(environment)
    assert requests.get(path, headers=headers, timeout=20).status_code == 404
    assert "All its data is removed." in _local(environment, "down").stdout
    assert third.kept_data == first.kept_data
    _start(environment, "--keep")
    assert requests.get(path, headers=headers, timeout=20).json() == changed


def _write_version(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE written_by (version TEXT)")
        database.execute("INSERT INTO written_by VALUES ('99.0.0')")


def _write_format(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA user_version = 7")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda file: file.write_bytes(b"not a database" * 1000), "file is not a database"),
        (_write_version, "was written by version 99.0.0, later than"),
        (_write_format, "has format 7, not 1"),
        (Path.mkdir, "Is a directory"),
    ],
    ids=["broken", "later version", "another format", "a folder"],
)
def test_kept_data_that_cannot_be_used_is_refused_by_its_folder(
    environment: dict[str, str], make: Callable[[Path], object], problem: str
) -> None:
    folder = Path(environment["ORDERFLOW_STATE_FOLDER"]) / "data"
    folder.mkdir(parents=True)
    make(folder / "data.sqlite3")

    up = _local(environment, "up", "--detach", "--keep")

    assert up.returncode == 1
    assert problem in _error(up)
    assert f"Delete {folder} to start empty." in _error(up)
    assert "Traceback" not in up.stderr
    assert _local(environment, "up", "--detach").returncode == 0


def test_kept_items_with_another_key_are_refused_by_their_folder(environment: dict[str, str]) -> None:
    running = _start(environment, "--keep")
    folder, table = running.kept_data, running.outputs["tableNames"]["users"]
    assert folder
    assert _local(environment, "down").returncode == 0
    with contextlib.closing(sqlite3.connect(folder / "data.sqlite3")) as database, database:
        database.execute("INSERT INTO items VALUES (?, 'a', '', '{\"id\": {\"S\": \"a\"}}')", (table,))

    up = _local(environment, "up", "--detach", "--keep")

    assert up.returncode == 1
    assert f"The items of {table} in {folder} have another key. Delete {folder}" in _error(up)
    assert _local(environment, "status").returncode == 3


@pytest.mark.parametrize("command", ["", "up", "down", "status", "outputs", "env", "demo", "logs"])
def test_every_command_has_a_help_text(environment: dict[str, str], command: str) -> None:
    done = _local(environment, *([command] if command else []), "--help")

    assert done.returncode == 0
    assert "Usage: python -m local" in done.stdout


HOSTILE = {
    "AWS_PROFILE": "a-profile-that-this-machine-lacks",
    "AWS_DEFAULT_PROFILE": "another-one",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_REGION": "xx-nowhere-1",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "TZ": "Asia/Kathmandu",
    "LC_ALL": "C",
}


def test_the_demo_does_not_depend_on_variables_of_the_shell_or_on_the_folder_name(
    environment: dict[str, str], tmp_path: Path
) -> None:
    clone = tmp_path / "a clone (1)"
    names = ("__main__.py", "Pulumi.yaml", "Pulumi.local.yaml", "components", "functions", "statemachines")
    clone.mkdir()
    for name in (*names, "docs", "local", ".build"):
        (clone / name).symlink_to(PROJECT_ROOT / name)
    shell = {**environment, **HOSTILE}
    shell.pop("HOME", None)
    shell.pop("NO_PROXY", None)
    shell.pop("no_proxy", None)

    demo = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$0" -m local demo', sys.executable],
        env=shell,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert demo.returncode == 0, demo.stderr
    assert "Every order ended as expected." in demo.stdout


@pytest.mark.parametrize("lines", [1, 3])
def test_a_stack_in_the_background_keeps_running_after_its_pipe_is_closed(
    environment: dict[str, str], lines: int
) -> None:
    command = f'"$0" -m local up --detach | head -{lines}'
    subprocess.run(
        ["bash", "-c", command, sys.executable],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )

    running = connect(state_folder=Path(environment["ORDERFLOW_STATE_FOLDER"]))
    assert running.endpoint.is_ready(timeout=5)


def _url_and_key(environment: dict[str, str]) -> tuple[str, dict[str, str], str]:
    """Starts an instance, stops it, and returns its URL and keys, and what the start printed."""
    up = _local(environment, "up", "--detach")
    assert up.returncode == 0, up.stderr
    outputs = json.loads(_local(environment, "outputs").stdout)
    assert _local(environment, "down").returncode == 0
    return outputs["apiUrl"], outputs["apiKeys"], up.stdout


def test_url_and_keys_are_the_same_at_each_start_of_a_folder(environment: dict[str, str]) -> None:
    url, keys, printed = _url_and_key(environment)
    assert "is in use" not in printed
    port = int(url.split(":")[2].split("/")[0])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        other, same_keys, printed = _url_and_key(environment)
    assert other.startswith(f"http://127.0.0.1:{port + 1}/")
    assert same_keys == keys
    assert f"Port {port} is in use" in printed
    assert _url_and_key(environment)[:2] == (url, keys)
    secret = Path(environment["ORDERFLOW_STATE_FOLDER"]) / "secret"
    assert secret.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("module", ["local", "ops"])
def test_the_version_and_the_installed_command_are_those_of_the_project(module: str) -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    done = _python_in_docs("-m", module, "--version")
    assert done.stdout == f"orderflow {project['version']}\n", f"{done.stderr}Run `make install`."
    name, _, function = project["scripts"][f"orderflow-{module}"].partition(":")
    assert callable(getattr(importlib.import_module(name), function))


@pytest.mark.skipif(
    bool(list(importlib.metadata.distributions(name="orderflow"))), reason="the clone is installed (-e .)"
)
def test_no_other_process_imports_the_clone_from_another_folder() -> None:
    """A function that does would run without files that its archive lacks."""
    assert _python_in_docs("-c", "import functions").returncode == 1
    assert _python_in_docs("-m", "local.cli", "--version").returncode == 1


def _python_in_docs(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder of the clone, with the paths of its environment only."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT_ROOT / "docs",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
