"""The runbook: every alarm has a section, and every command can be run as it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import OperationModel

from components.packaging import function_names
from local.engine.stacks import EVERYTHING, declare_test_stack, table_schemas
from ops.stacks import PROJECT_ROOT
from tests.documents.shell import commands, sections, words

RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text("utf-8")
DEPLOYING = (PROJECT_ROOT / "docs" / "deploying.md").read_text("utf-8")
SECTIONS = sections(RUNBOOK)
TOOLS = "The tools"
"""The section whose variables all others use."""

HEADINGS = {
    re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    for heading in re.findall(r"^##+ (.+)$", RUNBOOK, re.MULTILINE)
}
ANCHORS = HEADINGS | set(re.findall(r'<a id="([^"]+)">', RUNBOOK))

# --- sections ---------------------------------------------------------------------------------------------


def test_every_alarm_has_a_section() -> None:
    alarms = {
        alarm.name
        for run in (declare_test_stack("prod"), declare_test_stack(**EVERYTHING))
        for alarm in run.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    }
    assert {"dead_letters", "certificate_expires"} <= alarms
    assert alarms <= ANCHORS


def test_every_function_and_table_has_its_anchors() -> None:
    functions = {f"{name}_{kind}" for name in function_names() for kind in ("errors", "throttles")}
    tables = {f"{name}_{kind}" for name in table_schemas() for kind in ("throttles", "system_errors")}
    assert functions | tables <= ANCHORS


def test_every_link_within_the_runbook_has_a_target() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= ANCHORS


# --- placeholders -----------------------------------------------------------------------------------------

_ASSIGNED = re.compile(r"(?:^|[\s;(])([A-Za-z_]\w*)=|\bread -r (\w+)|\bfor (\w+) in\b")
_USED = re.compile(r"(?<!\\)\$\{?([A-Za-z_]\w*)")
_LITERAL = re.compile(r"(?:export )?\w+=[^$\s]+(?:\s|$)")
_QUOTED = re.compile(r"""("(?:\\.|[^"\\])*")|'[^']*'""")
_PLACEHOLDER = re.compile(r"<\w[^<>]*>|…|\.\.\.")
_METAVARIABLE = re.compile(r"[A-Z_]*(ARN|DATE|FILE|ID|KEY|NAME|URL|UUID)")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def assigned(command: str) -> set[str]:
    """The shell variables that a command sets."""
    return {name for names in _ASSIGNED.findall(command) for name in names if name}


def unresolved(section: str, known: set[str]) -> Iterator[str]:
    """Yield what the commands of a section use and no earlier command produces.

    That is a placeholder, a variable, a file, or an id that is not in the output above it. A variable with a
    literal value needs a comment that says where the value is from.
    """
    known = set(known)
    for command, before in commands(section):
        known |= assigned(command)
        output = "\n".join(line for line in before.split("\n") if not line.startswith(("$ ", "python")))
        if _LITERAL.match(command):
            if " # " not in command:
                yield f"{command}: say in a comment where the value is from"
            continue
        command = command.partition(" # ")[0]
        yield from (f"{command}: {found}" for found in _PLACEHOLDER.findall(command))
        yield from (
            f"{command}: {word}"
            for word in words(command)
            if _METAVARIABLE.fullmatch(word) and word not in known
        )
        expanded = _QUOTED.sub(lambda quoted: quoted[1] or "", command)  # the shell expands no single quotes
        yield from (f"{command}: ${name}" for name in _USED.findall(expanded) if name not in known)
        yield from (f"{command}: {found}" for found in _ID.findall(command) if found not in output)
        for file in re.findall(r"(?<!<)< (\w+)", command):
            if f"> {file}" not in before:
                yield f"{command}: the file {file}"


@pytest.mark.parametrize("section", SECTIONS)
def test_a_command_uses_only_what_an_earlier_one_produces(section: str) -> None:
    known = (
        set()
        if section == TOOLS
        else {n for found in commands(SECTIONS[TOOLS]) for n in assigned(found.text)}
    )
    assert list(unresolved(SECTIONS[section], known)) == []


def test_a_command_of_the_deployment_uses_only_what_an_earlier_one_produces() -> None:
    assert list(unresolved(DEPLOYING, set())) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`aws lambda get-function --function-name <the function>`", ["<the function>"]),
        ("```sh\naws logs tail \"$GROUP\"\n```", ["$GROUP"]),
        ("```sh\necho '$GROUP' \"$PLAN\"\n```", ["$PLAN"]),
        ("```sh\nID=5\n```", ["say in a comment where the value is from"]),
        ("```sh\nID=5   # from the list\necho $ID\n```", []),
        ("```sh\nGROUP=$(aws logs x)\naws logs tail \"${GROUP}\"\n```", []),
        ("`python -m ops orders show ORDER_ID --stack prod`", ["ORDER_ID"]),
        ("```sh\nwhile read -r id; do echo $id; done < ids\n```", ["the file ids"]),
        ("```sh\nls > ids\nwhile read -r id; do echo $id; done < ids\n```", []),
        (
            "```\n$ python -m ops orders show 309bd6c8-5ddf-4261-befa-c712218253a2\n```",
            ["309bd6c8-5ddf-4261-befa-c712218253a2"],
        ),
        (
            "```\n$ python -m ops orders stalled\n 309bd6c8-5ddf-4261-befa-c712218253a2\n"
            "$ python -m ops orders show 309bd6c8-5ddf-4261-befa-c712218253a2\n```",
            [],
        ),
    ],
)  # fmt: skip
def test_a_placeholder_is_found(text: str, found: list[str]) -> None:
    assert [line.rpartition(": ")[2] for line in unresolved(text, set())] == found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_command_names_its_stack(section: str) -> None:
    """The Pulumi CLI would act on the selected stack; `python -m ops` is parsed in tests/documents."""
    for command in commands(SECTIONS[section]):
        for part in re.findall(r"\bpulumi [^;|&)]+", command.text.partition(" # ")[0]):
            assert "--stack prod" in part, command.text


# --- commands of AWS --------------------------------------------------------------------------------------

_SESSION = botocore.session.get_session()
# Of the CLI itself, for every operation.
_GLOBAL = {"query", "output", "region", "no-paginate", "max-items"}
AWS_CLI = {
    "acm describe-certificate": "a certificate of another project",
    "apigateway get-api-key": "a secret, which ops never prints",
    "apigateway get-usage": "a client's contract, which ops does not change",
    "apigateway update-api-key": "a client's contract, which ops does not change",
    "apigateway update-usage": "a client's contract, which ops does not change",
    "dynamodb restore-table-to-point-in-time": "costs a table, and runs once in years",
    "dynamodb wait": "costs a table, and runs once in years",
    "lambda get-account-settings": "a quota of the whole account",
    "lambda get-function-concurrency": "configuration, as it is in AWS",
    "lambda list-functions": "finds the name for the line after it",
    "scheduler list-schedules": "configuration, as it is in AWS",
    "service-quotas list-service-quotas": "a quota of the whole account",
}
"""The runbook's commands of the AWS CLI, each with the reason why `python -m ops` does not have it.

tests/e2e/test_runbook.py runs those that the embedded AWS supports.
"""


def aws_commands(document: str) -> list[str]:
    """The words after `aws` of each call of its CLI, as one text."""
    return sorted(
        {
            found
            for command in commands(document)
            for found in re.findall(r"\baws ([a-z0-9-]+ .+)", command.text)
        }
    )


def options(operation: OperationModel) -> set[str]:
    """The CLI's options for an operation."""
    shape = operation.input_shape
    names: set[str] = set()
    for member, value in shape.members.items() if shape else ():
        name = xform_name(member, "-")
        names |= {name, f"no-{name}"} if value.type_name == "boolean" else {name}
    return names | _GLOBAL


def problem(command: str) -> str | None:
    """Return what the AWS CLI would not accept, or None."""
    service, verb, *rest = words(command)
    service = {"s3api": "s3"}.get(service, service)
    given = [word.removeprefix("--").partition("=")[0] for word in rest if word.startswith("--")]
    if service not in _SESSION.get_available_services():
        return f"no service {service}"
    model = _SESSION.get_service_model(service)
    if verb == "wait":
        verb = {"table-exists": "describe-table"}[rest[0]]
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if verb not in operations:
        return f"no operation {verb}"
    allowed = options(model.operation_model(operations[verb]))
    unknown = [option for option in given if option not in allowed]
    return f"no option {unknown[0]}" if unknown else None


def test_the_runbook_uses_the_aws_cli_only_for_what_no_command_of_ops_does() -> None:
    assert {" ".join(words(command)[:2]) for command in aws_commands(RUNBOOK)} == set(AWS_CLI)


@pytest.mark.parametrize("command", aws_commands(f"{RUNBOOK}\n{DEPLOYING}"))
def test_every_command_of_the_aws_cli_exists(command: str) -> None:
    assert problem(command) is None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("lambda get-function --function-name x --query Configuration", None),
        ("lambdas get-function", "no service lambdas"),
        ("lambda find-function", "no operation find-function"),
        ("lambda get-function --name x", "no option name"),
        ("lambda update-event-source-mapping --uuid x --no-enabled", None),
    ],
)
def test_a_wrong_command_of_the_aws_cli_is_found(command: str, expected: str | None) -> None:
    assert problem(command) == expected
