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
from tests.clients.conftest import CONTRACT, HERE, generate, run

pytestmark = pytest.mark.skipif(
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


def test_the_java_client_of_openapi_generator(folder: Path, environment: Environment) -> None:
    client = folder / "java"
    generate("java", client, "library=native,openApiNullable=false,useSingleRequestParameter=true")
    shutil.copy(HERE / "programs" / "Scenario.java", client / "src" / "main" / "java")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
    run("mvn", "-q", "-B", "-Dmaven.test.skip=true", "compile", goal, "-Dmdep.outputFile=path", cwd=client)
    path = f"{client / 'target' / 'classes'}:{(client / 'path').read_text()}"
    check(run("java", "-cp", path, "Scenario", env=environment))


def test_the_go_client_of_openapi_generator(folder: Path, environment: Environment) -> None:
    client = folder / "generated" / "generator"
    generate("go", client, "packageName=client,withGoMod=false,enumClassPrefix=true")
    shutil.rmtree(client / "test", ignore_errors=True)
    check(run("go", "run", "./go_generator", env=environment))


def test_the_client_of_oapi_codegen(folder: Path, environment: Environment) -> None:
    client = folder / "generated" / "oapi"
    client.mkdir(parents=True, exist_ok=True)
    tool = ("go", "tool", "oapi-codegen", "-package", "client", "-generate", "client,models")
    run(*tool, "-o", str(client / "client.gen.go"), str(CONTRACT))
    check(run("go", "run", "./go_oapi", env=environment))


def test_the_typescript_client_of_openapi_generator_and_the_types_of_openapi_typescript(
    folder: Path, environment: Environment
) -> None:
    generate("typescript-fetch", folder / "generator", "supportsES6=true,importFileExtension=.js")
    run("npx", "openapi-typescript", str(CONTRACT), "--output", "schema.d.ts")
    run("npx", "tsc")
    for program in ("generator", "types"):
        check(run("node", f"js/{program}.js", env=environment))


def test_the_python_client_of_openapi_generator(folder: Path, environment: Environment) -> None:
    generate("python", folder / "python", "packageName=orderflow_client")
    uv, python = str(Path(sys.executable).with_name("uv")), str(folder / "environment" / "bin" / "python")
    run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, "environment")
    requirements = str(HERE / "requirements-python.txt")
    run(uv, "pip", "install", "--system-certs", "--require-hashes", "--python", python, "-r", requirements)
    check(run(python, "scenario.py", env=environment | {"PYTHONPATH": str(folder / "python")}))


def test_the_parser_of_asyncapi_reads_the_document_of_the_events(folder: Path) -> None:
    output = run("node", "asyncapi.mjs", str(PROJECT_ROOT / "docs" / "asyncapi.json"))
    assert output.split() == ["messages", *sorted(kind.name for kind in EVENT_TYPES)]
