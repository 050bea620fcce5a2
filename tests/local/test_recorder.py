"""The recorder returns outputs like those of AWS. The input check is as strict as the provider."""

import pytest

from local.engine.input_check import check_inputs
from local.engine.program import ProgramError, run_program
from local.engine.recorder import Recorder
from tests.local.conftest import WriteProject

QUEUE = """
    import pulumi, pulumi_aws as aws
    queue = aws.sqs.Queue("orders")
    pulumi.export("arn", queue.arn)
    pulumi.export("url", queue.url)
    """


def test_ids_and_arns_have_the_format_of_aws(write_project: WriteProject) -> None:
    run = run_program("local", Recorder(), root=write_project(QUEUE))

    name = run.get("aws:sqs/queue:Queue", "orders").outputs["name"]
    assert run.outputs.values == {
        "arn": f"arn:aws:sqs:eu-west-1:123456789012:{name}",
        "url": f"https://sqs.eu-west-1.amazonaws.com/123456789012/{name}",
    }


def test_an_optional_input_that_is_not_set_has_no_output(write_project: WriteProject) -> None:
    root = write_project(QUEUE + '\n    pulumi.export("policy", queue.policy)\n')

    with pytest.raises(ProgramError, match="exports that use missing outputs of resources: policy"):
        run_program("local", Recorder(), root=root)


def test_a_policy_document_equals_that_of_the_provider(write_project: WriteProject) -> None:
    root = write_project(
        """
        import pulumi, pulumi_aws as aws
        document = aws.iam.get_policy_document(statements=[aws.iam.GetPolicyDocumentStatementArgs(
            actions=["sqs:SendMessage"], resources=["arn:1"],
            conditions=[aws.iam.GetPolicyDocumentStatementConditionArgs(
                test="StringEquals", variable="aws:SourceAccount", values=["1"])])])
        pulumi.export("json", pulumi.Output.json_loads(document.json))
        pulumi.export("account", aws.get_caller_identity().account_id)
        """
    )

    run = run_program("local", Recorder(), root=root)

    assert run.outputs.values["account"] == "123456789012"
    assert run.outputs.values["json"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sqs:SendMessage",
                "Resource": "arn:1",
                "Condition": {"StringEquals": {"aws:SourceAccount": "1"}},
            }
        ],
    }


@pytest.mark.parametrize(
    ("program", "mistake"),
    [
        (
            'aws.sqs.Queue("q", visibility_timeout_seconds="60")',
            "`visibilityTimeoutSeconds` must be of type int",
        ),
        (
            'aws.dynamodb.Table("t", hash_key="id", attributes=[{"name": "id", "typ": "S"}])',
            "`attributes[0].typ` is not an input",
        ),
        (
            'aws.dynamodb.Table("t", hash_key="id", attributes=[{"name": "id", "typ": "S"}])',
            "`attributes[0].type` is required",
        ),
        (
            'aws.lambda_.Function("f", role="r", runtime="python2.1")',
            "`runtime` is 'python2.1', expected one of",
        ),
        ('aws.sqs.Queue("q", tags={"team": 5})', "`tags.team` must be of type str, but is 5"),
        ('aws.iam.Role("r" * 60, assume_role_policy="{}")', "at most 64 are allowed"),
    ],
)
def test_a_mistake_that_the_sdk_accepts_is_found(
    write_project: WriteProject, program: str, mistake: str
) -> None:
    run = run_program("local", Recorder(), root=write_project(f"import pulumi_aws as aws\n{program}\n"))

    assert any(mistake in found for found in check_inputs(run.resources)), check_inputs(run.resources)


@pytest.mark.parametrize("preview", [False, True])
def test_correct_inputs_are_accepted(write_project: WriteProject, preview: bool) -> None:
    root = write_project(
        """
        import pulumi_aws as aws
        key = aws.dynamodb.TableAttributeArgs(name="id", type="S")
        table = aws.dynamodb.Table("t", hash_key="id", attributes=[key])
        aws.lambda_.Function("f", role="arn", runtime="python3.13", handler="a.b", timeout=3,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables={"TABLE": table.name}))
        """
    )

    assert check_inputs(run_program("local", Recorder(), root=root, preview=preview).resources) == []
