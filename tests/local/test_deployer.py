"""The deployer creates the declared resources in the emulator and refuses unknown ones."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import requests

from local.aws.archives import zip_archive
from local.aws.deployer import KINDS
from local.aws.emulator import Emulator, start_emulator
from local.engine.input_check import check_inputs
from local.engine.program import ProgramError, run_program
from local.engine.recorder import Recorder
from local.engine.sdk_types import arguments_class, resource_class
from local.stack import RunningStack, deploy, running_stack
from tests.local import sample
from tests.local.conftest import WriteProject


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    root = tmp_path_factory.mktemp("sample")
    schema = f"config:\n  {sample.SCHEMA}\n"
    for path, text in {
        "Pulumi.yaml": f"name: sample\n{schema}",
        "Pulumi.local.yaml": "",
        "__main__.py": sample.MAIN,
    }.items():
        (root / path).write_text(text)
    for path, text in sample.FILES.items():
        (root / path).parent.mkdir()
        (root / path).write_text(text)
    with running_stack(root=root) as running:
        yield running


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start_emulator() as emulator:
        yield emulator


def _get(url: str, key: str = "") -> tuple[int, str]:
    answer = requests.get(url, headers={"x-api-key": key} if key else {}, timeout=20)
    return answer.status_code, answer.text


def _wait_for(found: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value


def _invoke(stack: RunningStack, payload: dict[str, Any]) -> tuple[str | None, Any]:
    answer = stack.client("lambda").invoke(FunctionName=stack.outputs["task"], Payload=json.dumps(payload))
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def _ids(stack: RunningStack) -> set[str]:
    items = stack.client("dynamodb").scan(TableName=stack.outputs["table"])["Items"]
    return {item["id"]["S"] for item in items}


def test_a_request_with_a_key_reaches_the_function_until_the_quota_is_used_up(
    stack: RunningStack,
) -> None:
    url = f"{stack.api_url}/things"

    assert _get(url) == (403, '{"title": "no key"}')
    assert [_get(url, stack.api_keys["free"])[0] for _ in range(3)] == [200, 200, 429]
    assert "from-api" in _ids(stack)


def test_a_call_that_the_role_of_a_function_does_not_allow_is_denied(stack: RunningStack) -> None:
    failed, answer = _invoke(stack, {"delete": True})

    assert failed
    assert answer["errorType"] == "ClientError"
    assert "is not authorized to perform: dynamodb:DeleteItem" in answer["errorMessage"]


def test_the_state_machine_catches_an_exception_by_its_name(stack: RunningStack) -> None:
    assert _invoke(stack, {})[1]["errorType"] == "OutOfStock"

    client = stack.client("stepfunctions")
    execution = client.start_execution(stateMachineArn=stack.outputs["machine"], input="{}")["executionArn"]

    ended = _wait_for(
        lambda: (found := client.describe_execution(executionArn=execution))["status"] != "RUNNING" and found
    )
    assert (ended["status"], ended["output"]) == ("SUCCEEDED", '"rejected"')


def test_a_message_reaches_the_consumer_of_its_queue(stack: RunningStack) -> None:
    stack.client("sqs").send_message(QueueUrl=stack.outputs["queue"], MessageBody="from-queue")

    assert _wait_for(lambda: "from-queue" in _ids(stack))


def test_the_output_of_a_function_is_in_its_own_log_group(stack: RunningStack) -> None:
    _get(f"{stack.api_url}/things", stack.api_keys["free"])
    _invoke(stack, {})

    assert set(stack.log_groups) == {"api", "task", "consume"}
    events = stack.client("logs").filter_log_events(logGroupName=stack.log_groups["task"])["events"]
    assert any("OutOfStock" in event["message"] or "RequestId" in event["message"] for event in events)


def test_a_function_gets_no_variable_of_the_shell(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = _invoke(stack, {"environment": True})

    assert environment["HOME"].startswith(str(stack.folder))
    assert not {"AWS_PROFILE", "PYTHONPATH", "VIRTUAL_ENV"} & set(environment)
    assert environment["AWS_ACCESS_KEY_ID"] != stack.endpoint.access_key_id


def test_tags_are_set(stack: RunningStack) -> None:
    tags = stack.client("dynamodb").list_tags_of_resource(ResourceArn=stack.outputs["tableArn"])["Tags"]

    assert {"Key": "team", "Value": "blue"} in tags


def test_another_project_can_be_deployed_with_a_reference_to_this_one(
    stack: RunningStack, write_project: WriteProject
) -> None:
    root = write_project(
        """
        import pulumi, pulumi_aws as aws
        table = pulumi.StackReference("sample/local").require_output("table")
        queue = aws.sqs.Queue("billing", tags={"table": table})
        pulumi.export("url", queue.url)
        """,
        name="billing",
    )

    url = stack.deploy(root).outputs.values["url"]

    tags = stack.client("sqs").list_queue_tags(QueueUrl=url)["Tags"]
    assert tags == {"table": stack.outputs["table"]}


def test_resources_get_the_default_tags_of_the_stack(emulator: Emulator, write_project: WriteProject) -> None:
    root = write_project(
        'import pulumi, pulumi_aws as aws\npulumi.export("url", aws.sqs.Queue("q", tags={"own": "1"}).url)',
        config="aws:defaultTags: {tags: {stack: local}}",
    )

    url = deploy(emulator.endpoint, root=root).outputs.values["url"]

    tags = emulator.endpoint.client("sqs").list_queue_tags(QueueUrl=url)["Tags"]
    assert tags == {"own": "1", "stack": "local"}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            'aws.kinesis.Stream("s")',
            "aws:kinesis/stream:Stream 's': the embedded AWS does not support this resource type",
        ),
        (
            'aws.sqs.Queue("q", fifo_throughput_limit="perQueue")',
            "aws:sqs/queue:Queue 'q': the embedded AWS does not support the property `fifoThroughputLimit`",
        ),
        (
            'aws.dynamodb.Table("t", hash_key="id", attributes=[{"name": "id", "kind": "S"}])',
            "does not support the property `attributes[0].kind`",
        ),
        (
            'aws.apigateway.RestApi("a", api_key_source="AUTHORIZER")',
            "`apiKeySource` is 'AUTHORIZER', but the embedded AWS supports only 'HEADER'",
        ),
        (
            'aws.lambda_.Function("f", role="r", runtime="nodejs22.x", code=CODE)',
            "runs Python functions only",
        ),
        ('aws.sqs.Queue("q", opts=pulumi.ResourceOptions(import_="x"))', "cannot import existing resources"),
        ('aws.iam.RolePolicy("p", role="missing", policy="{}")', "NoSuchEntity"),
        ('aws.ssm.get_parameter("x")', "the embedded AWS does not support this provider function"),
        ('aws.sqs.Queue.get("q", "x")', "cannot read existing resources"),
    ],
)
def test_an_unsupported_declaration_is_an_error_that_names_it(
    emulator: Emulator, write_project: WriteProject, program: str, message: str
) -> None:
    code = 'CODE = pulumi.AssetArchive({"a.py": pulumi.StringAsset("")})'

    with pytest.raises(ProgramError) as refused:
        deploy(
            emulator.endpoint, root=write_project(f"import pulumi, pulumi_aws as aws\n{code}\n{program}\n")
        )

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.resource_type)
def test_the_types_inputs_and_outputs_of_the_deployer_exist_in_the_sdk(kind: Any) -> None:
    found, arguments = resource_class(kind.resource_type), arguments_class(kind.resource_type)

    assert found is not None
    assert arguments is not None
    assert set(kind.inputs) <= set(pulumi._types._raw_return_hints(arguments))
    assert set(kind.outputs) <= set(pulumi._types.resource_types(found))


def test_the_sample_passes_the_input_check(write_project: WriteProject) -> None:
    root = write_project(sample.MAIN, schema=sample.SCHEMA, files=sample.FILES)

    assert check_inputs(run_program("local", Recorder(), root=root).resources) == []


def test_equal_contents_make_equal_zips(tmp_path: Path) -> None:
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            (tmp_path / folder / "sub").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "sub" / name).write_text(name)

    zips = [zip_archive(pulumi.FileArchive(folder), tmp_path) for folder in ("one", "two")]

    assert zips[0] == zips[1]
    assert zipfile.ZipFile(io.BytesIO(zips[0])).namelist() == ["sub/a", "sub/b"]


def test_archives_of_every_kind_are_zipped_together(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("inner")
    archive = pulumi.AssetArchive(
        {
            "text": pulumi.StringAsset("text"),
            "file": pulumi.FileAsset("file"),
            "folder": pulumi.FileArchive("folder"),
            "nested": pulumi.AssetArchive({"text": pulumi.StringAsset("deep")}),
        }
    )

    content = zipfile.ZipFile(io.BytesIO(zip_archive(archive, tmp_path, {"bootstrap": b"#!"})))

    assert {name: content.read(name) for name in content.namelist()} == {
        "text": b"text",
        "file": b"file",
        "folder/inner": b"inner",
        "nested/text": b"deep",
        "bootstrap": b"#!",
    }
    assert content.getinfo("bootstrap").external_attr >> 16 & 0o777 == 0o755
