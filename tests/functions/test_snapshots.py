"""What the environments share that Lambda restores from one snapshot (docs/warm_starts.md).

SnapStart passes credentials by URL instead of keys in the environment. Those of the snapshot may be expired:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.processes import environment
from bench.samples import EVENTS
from bench.stub import ANSWERS

IDS = {"orders_api": "orderId", "users_api": "userId", "products_api": "productId"}
BEHIND_API = [*IDS, "baskets_api", "reports_api", "service_api"]


@dataclass
class Aws:
    """Calls that were answered: the client's port, the key and the signature of each."""

    url: str
    credentials_given: int = 0
    calls: list[tuple[int, str, str]] = field(default_factory=list)


@pytest.fixture
def aws() -> Iterator[Aws]:
    found = Aws("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.credentials_given += 1
            number = found.credentials_given
            # The first are those of the snapshot: they are about to expire.
            lifetime = timedelta(minutes=1) if number == 1 else timedelta(hours=6)
            self.answer(
                {
                    "AccessKeyId": f"KEY{number}",
                    "SecretAccessKey": f"secret{number}",
                    "Token": "token",
                    "Expiration": (datetime.now(UTC) + lifetime).isoformat(timespec="seconds"),
                }
            )

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signed = re.search(r"Credential=(\w+)/.*Signature=(\w+)", self.headers["Authorization"])
            assert signed
            found.calls.append((self.client_address[1], signed[1], signed[2]))
            self.answer(ANSWERS[self.headers["X-Amz-Target"].rpartition(".")[2]](request))

        def answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def restored_twice(name: str, aws: Aws, kind: str) -> list[dict[str, Any]]:
    """Handles the function's event in two processes, and returns what they report."""
    variables = environment(
        aws.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/credentials",
        AWS_LAMBDA_INITIALIZATION_TYPE=kind,
    )
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        variables.pop(key, None)
    package = f"functions.{name}"
    command = [sys.executable, "-m", "tests.functions.snapshot_child", package, json.dumps(EVENTS[package])]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", BEHIND_API)
def test_restored_environments_share_no_id_signature_connection_or_pause(name: str, aws: Aws) -> None:
    reports = restored_twice(name, aws, "snap-start")
    bodies = [json.loads(report["response"]["body"]) for report in reports]
    assert {report["response"]["statusCode"] for report in reports} <= {200, 201}
    if name in IDS:
        assert bodies[0][IDS[name]] != bodies[1][IDS[name]]
    if name == "service_api":  # makes no call
        assert not aws.calls
        return
    assert reports[0]["pause"] != reports[1]["pause"]
    first, second = aws.calls[: len(aws.calls) // 2], aws.calls[len(aws.calls) // 2 :]
    assert {port for port, _, _ in first}.isdisjoint({port for port, _, _ in second})
    assert ({key for _, key, _ in first}, {key for _, key, _ in second}) == ({"KEY2"}, {"KEY3"})
    assert {sign for _, _, sign in first}.isdisjoint({sign for _, _, sign in second})


def test_without_snap_start_nothing_is_registered_for_a_restore(aws: Aws) -> None:
    one, other = restored_twice("orders_api", aws, "on-demand")
    assert one["pause"] == other["pause"]
