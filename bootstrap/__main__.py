"""GitHub's identity provider, two roles (one that may look at the stack, one that may change it), and the
boundary that the stack's own roles are held in.

Applied by a person with administrator's rights, once per stack; nothing here is ever deployed by a workflow.
"""

import sys
from pathlib import Path

import pulumi
import pulumi_aws as aws

# Pulumi starts this file with `bootstrap/` as the first place for imports.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bootstrap.permissions import Target, can_at_most, can_change, can_look, can_read_state, can_write_state
from bootstrap.trust import ISSUER, checked_repository, github

config = pulumi.Config()
stack = pulumi.get_stack()
repository = checked_repository(config.require("repository"))
tags = {"project": "orderflow", "stack": stack}

provider_arn: pulumi.Input[str] = config.get("oidcProviderArn") or ""
if not provider_arn:
    # No thumbprint: AWS verifies GitHub's certificates against its own list of authorities.
    provider_arn = aws.iam.OpenIdConnectProvider(
        "github", url=f"https://{ISSUER}", client_id_lists=["sts.amazonaws.com"], tags=tags
    ).arn

target = Target(
    stack=stack,
    partition=aws.get_partition().partition,
    region=aws.get_region().region,
    account=aws.get_caller_identity().account_id,
    state_bucket=config.require("stateBucket"),
    secrets_key_arn=config.require("secretsKeyArn"),
)

# Of both roles, and a policy of its own: all that is written into a role itself may hold 10,240 characters.
looks = aws.iam.Policy(
    "looks",
    name=f"orderflow-looks-{stack}",
    description=f"Reading how the stack {stack} is set up",
    policy=can_look(target),
    tags=tags,
)

boundary = aws.iam.Policy(
    "boundary",
    # Not auto-named: the deploy role names it in a condition, and nobody may come by another one.
    name=target.boundary,
    description=f"The most that a role of the stack {stack} may do",
    policy=can_at_most(target, config.get("fulfillmentSecretArn") or ""),
    tags=tags,
)


def role(name: str, description: str, subjects: list[str], policies: dict[str, str]) -> aws.iam.Role:
    """A role that only these runs of the repository's workflows may assume, for at most an hour."""
    declared = aws.iam.Role(
        name,
        # Not auto-named: what the deploy role may change ends in six hex digits, and so never is this.
        name=f"orderflow-{name}-{stack}",
        description=description,
        assume_role_policy=pulumi.Output.from_input(provider_arn).apply(
            lambda arn: github(arn, [f"repo:{repository}:{subject}" for subject in subjects])
        ),
        max_session_duration=3600,
        tags=tags,
    )
    aws.iam.RolePolicyAttachment(
        f"{name}-looks",
        role=declared.name,
        policy_arn=looks.arn,
        opts=pulumi.ResourceOptions(parent=declared),
    )
    for purpose, policy in policies.items():
        aws.iam.RolePolicy(
            f"{name}-{purpose}",
            role=declared.name,
            policy=policy,
            opts=pulumi.ResourceOptions(parent=declared),
        )
    return declared


preview = role(
    "preview",
    f"Lets pull requests and the search for drift look at the stack {stack}",
    ["pull_request", "ref:refs/heads/main"],
    {"reads-state": can_read_state(target)},
)
deploy = role(
    "deploy",
    f"Lets the environment {stack} change the stack {stack}",
    [f"environment:{stack}"],
    {"changes": can_change(target), "writes-state": can_write_state(target)},
)

pulumi.export("previewRoleArn", preview.arn)
pulumi.export("deployRoleArn", deploy.arn)
pulumi.export("permissionsBoundaryArn", boundary.arn)
pulumi.export("oidcProviderArn", provider_arn)
