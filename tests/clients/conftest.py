"""One stack on the embedded AWS, and the folder in which the clients are generated and compiled."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

from local.engine.program import PROJECT_ROOT
from local.stack import running_stack

HERE = Path(__file__).parent
FOLDER = PROJECT_ROOT / ".build" / "clients"
CONTRACT = PROJECT_ROOT / "docs" / "openapi.json"
Generate = Callable[[str, Path, str], None]


# What npm, Maven, Go and uv print if a registry does not answer, or with 429 or 5xx. A wrong version prints
# none of it.
_UNREACHABLE = re.compile(
    r".*(?:code (?:EAI_AGAIN|ECONN\w+|ENOTFOUND|ERR_SOCKET_TIMEOUT|ETIMEDOUT|E429|E5\d\d)"
    r"|Could not transfer artifact|dial tcp|(?:i/o|TLS handshake) timeout|error sending request"
    r"|\b(?:429 Too Many|50[234] [A-Z])).*"
)


def run(*command: str, cwd: Path = FOLDER, env: dict[str, str] | None = None, downloads: bool = False) -> str:
    """Runs a command. Returns its standard output.

    Skips the test without the program, or if the command `downloads` and the registry does not answer.
    """
    if shutil.which(command[0]) is None:
        raise_not_available(f"{command[0]} is not on PATH")
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    message = f"{' '.join(command)}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    if result.returncode and downloads and (line := _UNREACHABLE.search(result.stdout + result.stderr)):
        raise_not_available(f"{Path(command[0]).name}: no answer from its registry: {line[0][:300]}")
    assert result.returncode == 0, message
    return result.stdout


def raise_not_available(reason: str) -> NoReturn:
    """Skips the test, or fails it if REQUIRE_CLIENTS is set."""
    (pytest.fail if os.environ.get("REQUIRE_CLIENTS") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def folder() -> Path:
    """The folder with the programs, and the files that pin the generators."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "programs", FOLDER, dirs_exist_ok=True)
    for name in ("package.json", "package-lock.json", "go.mod", "go.sum"):
        shutil.copy(HERE / name, FOLDER)
    return FOLDER


@pytest.fixture(scope="session")
def packages(folder: Path) -> None:
    """The generators and parsers from npm, in the folder."""
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder, downloads=True)


@pytest.fixture(scope="session")
def generate(folder: Path) -> Generate:
    """Generates a client with openapi-generator, from its name, a folder and options."""
    shutil.rmtree(folder / "jar", ignore_errors=True)
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    output = f"-DoutputDirectory={folder / 'jar'}"
    run("mvn", "--quiet", "--batch-mode", plugin, output, cwd=HERE, downloads=True)
    (jar,) = (folder / "jar").glob("openapi-generator-cli-*.jar")

    def generate(generator: str, into: Path, options: str) -> None:
        shutil.rmtree(into, ignore_errors=True)
        run(
            *("java", "-jar", str(jar), "generate", "-i", str(CONTRACT), "-g", generator, "-o", str(into)),
            *("--additional-properties", options),
        )

    return generate


@dataclass(frozen=True)
class Later:
    """An API that answers every request with one order of a later release of v1."""

    url: str


@pytest.fixture(scope="session")
def later() -> Iterator[Later]:
    """A later release: the order in the contract's example with another field, status, code and reason."""
    example = json.loads(CONTRACT.read_text("utf-8"))["paths"]["/orders/{orderId}"]["get"]["responses"]["200"]
    order = example["content"]["application/json"]["example"]
    added = {"status": "AT_THE_DOOR", "rejectionCode": "moon_phase", "addedLater": {"deep": [1]}}
    body = json.dumps(order | added).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Later(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()


@pytest.fixture(scope="session")
def environment(later: Later) -> Iterator[dict[str, str]]:
    """The environment of the programs: the running stack, its key, and the later release."""
    with running_stack() as stack:
        yield {"API_URL": stack.api_url, "API_KEY": stack.api_keys["paid"], "LATER_URL": later.url}
