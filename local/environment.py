"""Adjusts the environment variables of the commands."""

import os
from typing import Final

_LOOPBACK: Final = ("127.0.0.1", "localhost")


def bypass_proxies_for_loopback() -> None:
    """Adds loopback to the hosts that HTTP clients reach without a proxy, here and in child processes.

    botocore, requests and urllib read these variables; urllib prefers the lower-case one.
    """
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, *_LOOPBACK]))
