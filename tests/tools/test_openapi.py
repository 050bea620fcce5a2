"""The contract is valid, up to date, and matches the API that the program declares."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator.readers import read_from_filename

from local.engine.stacks import declare_test_stack
from local.memory.iam import FULFILLMENT_SYSTEM
from tests.components.test_rest_api import methods
from tools.openapi import DOCUMENT, ROOT

CONTRACT = json.loads(DOCUMENT.read_text("utf-8"))


def operations() -> Iterator[tuple[str, Any]]:
    """Yields each route, such as "GET /users", with its operation."""
    for path, methods_of_path in CONTRACT["paths"].items():
        for method, operation in methods_of_path.items():
            yield f"{method.upper()} {path}", operation


def resolved(value: Any) -> Any:
    """Returns the target of a reference."""
    while "$ref" in value:
        target = CONTRACT
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def test_the_contract_is_up_to_date() -> None:
    # In a separate process: importing the handlers sets variables that would affect other tests.
    check = subprocess.run(
        [sys.executable, "-m", "tools.openapi", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stderr


def test_no_function_imports_the_generator() -> None:
    code = (path.read_text("utf-8") for path in (ROOT / "functions").rglob("*.py"))
    assert not [text for text in code if "import tools" in text or "from tools" in text]


def test_the_contract_is_valid_openapi_3_1() -> None:
    document, _ = read_from_filename(str(DOCUMENT))
    assert document["openapi"] == "3.1.0"
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())


@pytest.mark.parametrize("stack", ["dev", "prod", "local"])
def test_the_contract_has_the_routes_that_the_program_declares_with_their_keys(stack: str) -> None:
    run = declare_test_stack(stack, preview=False, **FULFILLMENT_SYSTEM)
    in_program = {
        route: needs_key
        for route, needs_key in methods(run).items()
        if not route.startswith(("OPTIONS", "HEAD"))
    }
    assert {route: operation.get("security") != [] for route, operation in operations()} == in_program


def test_every_operation_has_a_unique_name_a_tag_and_a_summary() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in CONTRACT["tags"]}
    for _, operation in operations():
        assert set(operation["tags"]) <= tags
        assert operation["summary"].endswith(".")


def test_every_body_answer_and_error_has_an_example() -> None:
    for route, operation in operations():
        for status, response in operation["responses"].items():
            for media_type, content in resolved(response).get("content", {}).items():
                is_document = route in {"GET /docs", "GET /openapi.json"} and status == "200"
                assert is_document or content.get("example") or content.get("examples"), (route, media_type)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"]


def test_every_example_of_an_error_is_used_and_defined() -> None:
    used = {
        json.dumps(example)
        for _, operation in operations()
        for response in operation["responses"].values()
        for content in resolved(response).get("content", {}).values()
        for example in content.get("examples", {}).values()
    }
    assert used == {
        json.dumps({"$ref": f"#/components/examples/{name}"}) for name in CONTRACT["components"]["examples"]
    }


def test_every_error_is_a_problem_document_with_its_own_status() -> None:
    for _, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            (content,) = resolved(response)["content"].items()
            assert content[0] == "application/problem+json"
            for example in content[1]["examples"].values():
                assert resolved(example)["value"]["status"] == int(status)


def test_the_contract_contains_no_python_names() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert not [word for word in ("(?!", "None ", "None)", "msgspec", "functions.", "$defs") if word in text]


def _schemas(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        yield found
        for part in found.values():
            yield from _schemas(part)
    elif isinstance(found, list):
        for part in found:
            yield from _schemas(part)


def test_no_default_is_null_and_money_has_64_bits() -> None:
    schemas = CONTRACT["components"]["schemas"]
    assert [schema for schema in _schemas(schemas) if schema.get("default", 0) is None] == []
    for owner, field in (("Product", "price"), ("Order", "total"), ("OrderLine", "unitPrice")):
        money = schemas[owner]["properties"][field]
        assert (money["format"], money["maximum"] <= 2**53 - 1) == ("int64", True)


def test_every_list_of_values_and_every_object_of_a_response_is_open_to_additions() -> None:
    schemas = CONTRACT["components"]["schemas"]
    answers = [response for _, operation in operations() for response in operation["responses"].values()]
    waiting = [name for answer in answers for name in _names(resolved(answer))]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _names(schemas[name])
    assert {"Order", "OrderStatus", "Problem", "ProblemCode"} <= seen
    for name in seen:
        assert "enum" not in schemas[name], name
        assert schemas[name].get("type") != "object" or schemas[name]["additionalProperties"] is True, name


def _names(found: Any) -> list[str]:
    """Returns the names of the schemas that a part of the contract refers to."""
    return re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found))


def test_no_schema_has_a_default() -> None:
    assert [schema for schema in _schemas(CONTRACT["components"]["schemas"]) if "default" in schema] == []


def test_no_schema_has_the_name_of_a_constructor_of_another() -> None:
    names = set(CONTRACT["components"]["schemas"])
    assert not names & {f"New{name}" for name in names}
