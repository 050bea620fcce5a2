"""Clients that generators make of the contract compile, place an order, and read a problem document.

Each also reads an order of a later release of v1, with a field and values that its contract does not have.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from functions.shared.events import EVENT_TYPES
from local.engine.program import PROJECT_ROOT
from tests.clients.conftest import CONTRACT, FOLDER, HERE, Generate, run

generated = pytest.mark.skipif(
    "GENERATED_CLIENTS" not in os.environ, reason="needs npm, Maven, Java, Go and minutes: run `make clients`"
)
Environment = dict[str, str]


def check(output: str) -> None:
    """Checks what a program printed."""
    order, problem, later = output.strip().splitlines()
    assert order == "order FULFILLED 20000000"
    assert problem.lower() == "problem not_found"
    assert later.startswith("later ")
    assert len(later) > len("later ")


def build(package: str) -> str:
    """Compiles a Go program. Returns its path."""
    program = str(FOLDER / package / "program")
    run("go", "build", "-o", program, f"./{package}", downloads=True)
    return program


@pytest.mark.parametrize(
    ("required", "outcome"), [(None, pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no-such-program"], "no-such-program is not on PATH"),
        (["sh", "-c", "echo npm error code EAI_AGAIN >&2; exit 1"], "sh: no answer .* code EAI_AGAIN"),
        (["sh", "-c", "echo '[ERROR] Could not transfer artifact x'; exit 1"], "no answer .* artifact x"),
        (["sh", "-c", "echo 'Get x: dial tcp 127.0.0.1:9: refused' >&2; exit 1"], "no answer .* refused"),
        (["sh", "-c", "echo 'cause: error sending request for url' >&2; exit 1"], "no answer .* for url"),
    ],
)
def test_what_is_missing_skips_a_client_unless_clients_are_required(
    command: list[str], reason: str, required: str | None, outcome: type[BaseException]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REQUIRE_CLIENTS", raising=False)
        if required:
            patch.setenv("REQUIRE_CLIENTS", required)
        with pytest.raises(outcome, match=reason):
            run(*command, cwd=HERE, downloads=True)


@pytest.mark.parametrize(("message", "downloads"), [("code E404", True), ("dial tcp", False)])
def test_any_other_failure_fails(message: str, downloads: bool) -> None:
    with pytest.raises(AssertionError, match=message):
        run("sh", "-c", f"echo '{message}' >&2; exit 1", cwd=HERE, downloads=downloads)


@generated
def test_the_java_client_of_openapi_generator(
    folder: Path, generate: Generate, environment: Environment
) -> None:
    client = folder / "java"
    generate("java", client, "library=native,openApiNullable=false,useSingleRequestParameter=true")
    shutil.copy(HERE / "programs" / "Scenario.java", client / "src" / "main" / "java")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
    maven = ("mvn", "-q", "-B", "-Dmaven.test.skip=true", "compile", goal, "-Dmdep.outputFile=path")
    run(*maven, cwd=client, downloads=True)
    path = f"{client / 'target' / 'classes'}:{(client / 'path').read_text()}"
    check(run("java", "-cp", path, "Scenario", env=environment))


@generated
def test_the_go_client_of_openapi_generator(
    folder: Path, generate: Generate, environment: Environment
) -> None:
    client = folder / "generated" / "generator"
    generate("go", client, "packageName=client,withGoMod=false,enumClassPrefix=true")
    shutil.rmtree(client / "test", ignore_errors=True)
    check(run(build("go_generator"), env=environment))


@generated
def test_the_client_of_oapi_codegen(folder: Path, environment: Environment) -> None:
    client = folder / "generated" / "oapi"
    client.mkdir(parents=True, exist_ok=True)
    tool = ("go", "tool", "oapi-codegen", "-package", "client", "-generate", "client,models")
    run(*tool, "-o", str(client / "client.gen.go"), str(CONTRACT), downloads=True)
    check(run(build("go_oapi"), env=environment))


@generated
@pytest.mark.usefixtures("packages")
def test_the_typescript_client_of_openapi_generator_and_the_types_of_openapi_typescript(
    folder: Path, generate: Generate, environment: Environment
) -> None:
    generate("typescript-fetch", folder / "generator", "supportsES6=true,importFileExtension=.js")
    run("npx", "openapi-typescript", str(CONTRACT), "--output", "schema.d.ts")
    run("npx", "tsc")
    for program in ("generator", "types"):
        check(run("node", f"js/{program}.js", env=environment))


@generated
def test_the_python_client_of_openapi_generator(
    folder: Path, generate: Generate, environment: Environment
) -> None:
    generate("python", folder / "python", "packageName=orderflow_client")
    uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "environment" / "bin" / "python")
    run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, "environment")
    requirements = str(HERE / "requirements-python.txt")
    install = (uv, "pip", "install", "--system-certs", "--require-hashes", "--python", python)
    run(*install, "-r", requirements, downloads=True)
    check(run(python, "scenario.py", env=environment | {"PYTHONPATH": str(folder / "python")}))


@generated
@pytest.mark.usefixtures("packages")
def test_the_parser_of_asyncapi_reads_the_document_of_the_events() -> None:
    output = run("node", "asyncapi.mjs", str(PROJECT_ROOT / "docs" / "asyncapi.json"))
    assert output.split() == ["messages", *sorted(kind.name for kind in EVENT_TYPES)]
