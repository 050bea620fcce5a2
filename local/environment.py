"""The environment of commands and tests: folders, proxies, and the version of the project."""

import os
import tomllib
from pathlib import Path
from typing import Final

PROJECT_ROOT: Final = Path(__file__).resolve().parents[1]
RUNS_FOLDER: Final = "ORDERFLOW_RUNS_FOLDER"
"""The variable with the folder for the runs of several processes with the same program."""
_LOOPBACK: Final = ("127.0.0.1", "localhost")


def bypass_proxies_for_loopback() -> None:
    """Adds loopback to the hosts that HTTP clients reach without a proxy, here and in child processes.

    botocore, requests and urllib read these variables; urllib prefers the lower-case one.
    """
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))


def project_version() -> str:
    """Returns the version in pyproject.toml."""
    text = (PROJECT_ROOT / "pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(text)["project"]["version"])
