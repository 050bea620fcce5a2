"""Starts and stops the emulator (ministack) as a child process.

The child listens on loopback only, enforces IAM for the Lambdas' roles, and keeps all its files in one
temporary folder. It and its Lambda workers form one process group, which one signal ends. When the parent
process is killed, the child ends too and its folder is removed (see `emulator_child.py`).
"""

import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from local.aws import emulator_child as _emulator_child

ACCOUNT_ID: Final = "123456789012"
DEFAULT_REGION: Final = "us-east-1"
SECRET_ACCESS_KEY: Final = "local"  # noqa: S105  the emulator takes any
_FOLDER_PREFIX: Final = "orderflow-local-"
_DISK_MEGABYTES: Final = 20  # of the functions' code, their layers and the log
_START_TIMEOUT: Final = 30.0  # seconds
# Ignores the user's AWS profiles: one that does not exist would raise.
_NO_PROFILE: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")


class EmulatorError(Exception):
    """The emulator cannot be started or reached; the message is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The address and account of an emulator. Returns one boto3 client per service."""

    port: int
    region: str = DEFAULT_REGION
    account_id: str = ACCOUNT_ID

    def __post_init__(self) -> None:
        object.__setattr__(self, "_clients", {})
        object.__setattr__(self, "_lock", threading.Lock())

    @property
    def url(self) -> str:
        """The endpoint URL for the AWS CLI and SDKs."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def access_key_id(self) -> str:
        """The access key of the account's root: in the emulator, the account's number."""
        return self.account_id

    def client(self, service: str) -> Any:
        """Returns the boto3 client of `service`, made at its first use. Thread-safe."""
        clients: dict[str, Any] = self._clients  # type: ignore[attr-defined]
        client = clients.get(service)
        if client is None:
            with self._lock:  # type: ignore[attr-defined]
                client = clients.get(service)
                if client is None:
                    client = clients[service] = self._new_client(service)
        return client

    def _new_client(self, service: str) -> Any:
        # A command that only finds the running emulator needs no client.
        import boto3
        import botocore.session
        from botocore.config import Config

        session = self.__dict__.get("_session")
        if session is None:
            session = boto3.session.Session(
                botocore_session=botocore.session.Session(session_vars=_NO_PROFILE),
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                region_name=self.region,
            )
            object.__setattr__(self, "_session", session)
        return session.client(
            service,
            endpoint_url=self.url,
            config=Config(
                max_pool_connections=32,
                retries={"total_max_attempts": 1},
                inject_host_prefix=False,
                parameter_validation=True,
                user_agent="orderflow-local",  # botocore composes its own twice for each call
                connect_timeout=5,
                read_timeout=60,
            ),
        )

    def is_ready(self, timeout: float = 1.0) -> bool:
        """Returns whether the emulator answers its health check within `timeout` seconds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", "/_ministack/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Emulator:
    """A running emulator that this process has started."""

    def __init__(self, endpoint: Endpoint, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.endpoint = endpoint
        self.folder = folder
        self._process = process
        self._stopped = False
        self.released = False

    @property
    def pid(self) -> int:
        """The id of the emulator's process, and of its process group with the Lambda workers."""
        return self._process.pid

    def release(self) -> None:
        """Keeps the emulator running after this process has ended. `stop_group` ends it."""
        if self._process.stdin:
            self._process.stdin.write(_emulator_child.RELEASE)
            self._process.stdin.close()
        self.released = True
        self._stopped = True

    def wait(self) -> None:
        """Returns when the emulator has ended."""
        self._process.wait()

    def last_log_line(self) -> str:
        """Returns the last line of the emulator's log, or ""."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "emulator.log").read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def stop(self) -> None:
        """Ends the emulator and all Lambda workers, and removes its folder. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        stop_group(self.pid, self.folder, self._process)
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_emulator(
    *,
    region: str = DEFAULT_REGION,
    port: int | None = None,
    state_file: Path | None = None,
    kept_data: Path | None = None,
    while_starting: Callable[[Endpoint], None] | None = None,
) -> Emulator:
    """Starts an emulator and returns once it is ready (about half a second).

    Without `port` it takes a free one. `state_file` is removed when the emulator ends because this process
    was killed. `kept_data` is a folder that `check_kept_data` has accepted. `while_starting` is called before
    the emulator is ready. Raises EmulatorError when the port is taken, the disk is full or the emulator does
    not start.
    """
    remove_stale_folders()
    check_disk(Path(tempfile.gettempdir()), _DISK_MEGABYTES, "free some, or set TMPDIR to another folder")
    if port is not None and not _is_free(port):
        raise EmulatorError(f"Port {port} on 127.0.0.1 is in use; choose another one.")
    for attempts_left in (2, 1, 0):
        chosen = port or _free_port()
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
        endpoint = Endpoint(port=chosen, region=region)
        emulator = Emulator(endpoint, folder, _spawn(endpoint, folder, state_file, kept_data))
        try:
            if while_starting:
                while_starting(endpoint)
            _await_ready(emulator)
        except BaseException as error:
            emulator.stop()
            # Another process may have taken the free port before the emulator listened on it.
            if isinstance(error, EmulatorError) and port is None and attempts_left:
                continue
            raise
        return emulator
    raise AssertionError("unreachable")


def check_disk(folder: Path, megabytes: int, advice: str) -> None:
    """Raises EmulatorError when the disk of a folder has less space."""
    free = shutil.disk_usage(folder).free / 1_000_000
    if free < megabytes:
        raise EmulatorError(
            f"The disk of {folder} is full: {free:.1f} MB are free and {megabytes} MB are needed; {advice}."
        )


def stop_group(pid: int, folder: Path, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Ends the emulator `pid` with all Lambda workers of its group, and removes its folder."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if process is not None:
        process.wait()
    for _ in range(200):
        # The lock is free once the process has ended; its zombie may remain.
        if not is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)
        # A worker that is just ending may have added a file.
        if not folder.exists():
            return
        time.sleep(0.01)


def is_alive(folder: Path) -> bool:
    """Returns whether the emulator that owns this folder runs. It holds a lock until it ends."""
    try:
        with (folder / _emulator_child.LOCK_FILE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def remove_stale_folders() -> None:
    """Removes the folders of emulators that were killed together with their parents."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = folder / _emulator_child.LOCK_FILE
            # A recent folder without a lock may belong to an emulator that is just starting.
            is_recent = time.time() - folder.stat().st_mtime < 60
            if (lock.exists() or not is_recent) and not is_alive(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _spawn(
    endpoint: Endpoint, folder: Path, state_file: Path | None, kept_data: Path | None
) -> "subprocess.Popen[bytes]":
    arguments = [str(folder), *(str(path) if path else "" for path in (state_file, kept_data))]
    with (folder / "emulator.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", str(Path(_emulator_child.__file__)), *arguments],
            env=_environment(endpoint, folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )


def _environment(endpoint: Endpoint, folder: Path) -> dict[str, str]:
    """Returns the environment variables of the emulator, which the Lambda workers inherit.

    The user's AWS profile and PYTHONPATH must not be among them.
    """
    home = folder / "home"
    home.mkdir()
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "HOME": str(home),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(endpoint.port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": endpoint.account_id,
        "MINISTACK_REGION": endpoint.region,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AUTH": "true",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "LOG_LEVEL": "WARNING",
        "NO_PROXY": "*",
    }


def _await_ready(emulator: Emulator) -> None:
    process = emulator._process
    deadline = time.monotonic() + _START_TIMEOUT
    while not emulator.endpoint.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise EmulatorError(
                f"The emulator did not start on port {emulator.endpoint.port}: "
                f"{emulator.last_log_line() or f'no answer in {_START_TIMEOUT:.0f} s'}"
            )
        time.sleep(0.02)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def first_free_port(port: int) -> int:
    """Returns the port, or the first free one of the hundred after it."""
    return next((each for each in range(port, port + 100) if _is_free(each)), port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
