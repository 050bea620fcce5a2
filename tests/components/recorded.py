"""Types and helpers of tests that read the resources of a recorded program."""

from pathlib import Path
from typing import Final

from local.engine.program import ProgramRun, Resource, run_program
from local.engine.recorder import Recorder

STACKS: Final = ("dev", "prod")

FUNCTION: Final = "aws:lambda/function:Function"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
METHOD: Final = "aws:apigateway/method:Method"
RESOURCE: Final = "aws:apigateway/resource:Resource"
DEPLOYMENT: Final = "aws:apigateway/deployment:Deployment"
TABLE: Final = "aws:dynamodb/table:Table"
QUEUE: Final = "aws:sqs/queue:Queue"


def recorded_program(root: Path, program: str) -> ProgramRun:
    """Runs a test's own program in the folder `root`."""
    (root / "Pulumi.yaml").write_text("name: example\nruntime: python\n")
    (root / "Pulumi.test.yaml").write_text("config: {}\n")
    (root / "__main__.py").write_text(program)
    return run_program("test", Recorder(), root=root)


def policies_of(run: ProgramRun, role: Resource) -> list[Resource]:
    """Returns the policies of a role."""
    return [policy for policy in run.of_type(ROLE_POLICY) if policy.inputs["role"] == role.outputs["name"]]


def role_of(run: ProgramRun, arn: str) -> Resource:
    """Returns the role with this ARN."""
    return next(role for role in run.of_type(ROLE) if role.outputs["arn"] == arn)


def depends_on(run: ProgramRun, resource: Resource, other: Resource) -> bool:
    """Returns whether `resource` depends on `other`, directly or indirectly."""
    todo, seen = list(resource.dependencies), set()
    while todo:
        urn = todo.pop()
        if urn == other.urn:
            return True
        if urn not in seen:
            seen.add(urn)
            todo += run.by_urn(urn).dependencies
    return False
