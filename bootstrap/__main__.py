"""Declares GitHub's identity provider, two roles for one stack, and the boundary of the stack's own roles.

One role reads the stack, the other changes it. An administrator applies this program once per stack. No
workflow deploys it.
"""

import sys
from pathlib import Path

import pulumi
import pulumi_aws as aws

# Pulumi starts this file with `bootstrap/` as the first place for imports.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bootstrap import settings
from bootstrap.permissions import (
    Target,
    allow_changing,
    allow_reading,
    allow_reading_state,
    allow_writing_state,
    bound_roles,
)
from bootstrap.trust import ISSUER, checked_repository, trust_policy

config = pulumi.Config()
stack = pulumi.get_stack()
domain_name, hosted_zone_id = settings.custom_domain(config)
repository = checked_repository(config.require("repository"))
tags = {"project": "orderflow", "stack": stack}

provider_arn: pulumi.Input[str] = config.get("oidcProviderArn") or ""
if not provider_arn:
    # No thumbprint: AWS verifies GitHub's certificates with its own list of authorities.
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
    api_id=settings.api_id(config),
    domain_name=domain_name,
    hosted_zone_id=hosted_zone_id,
)

# A managed policy for both roles: inline policies of a role may have 10,240 characters together.
reading = aws.iam.Policy(
    "reads",
    name=f"orderflow-reads-{stack}",
    description=f"Reading the settings of the stack {stack}",
    policy=allow_reading(target),
    tags=tags,
)

boundary = aws.iam.Policy(
    "boundary",
    # A fixed name: the deploy role names it in a condition.
    name=target.boundary,
    description=f"Permissions boundary of the roles of the stack {stack}",
    policy=bound_roles(target, config.get("fulfillmentSecretArn") or ""),
    tags=tags,
)


def role(name: str, description: str, subjects: list[str], policies: dict[str, str]) -> aws.iam.Role:
    """Declares a role that these runs of the repository's workflows may assume, for at most an hour."""
    declared = aws.iam.Role(
        name,
        # A fixed name: roles that the deploy role may change end in six hex digits.
        name=f"orderflow-{name}-{stack}",
        description=description,
        assume_role_policy=pulumi.Output.from_input(provider_arn).apply(
            lambda arn: trust_policy(arn, [f"repo:{repository}:{subject}" for subject in subjects])
        ),
        max_session_duration=3600,
        tags=tags,
    )
    aws.iam.RolePolicyAttachment(
        f"{name}-reads",
        role=declared.name,
        policy_arn=reading.arn,
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
    f"Pull requests and the drift check read the stack {stack}",
    ["pull_request", "ref:refs/heads/main"],
    {"reads-state": allow_reading_state(target)},
)
deploy = role(
    "deploy",
    f"The environment {stack} changes the stack {stack}",
    [f"environment:{stack}"],
    {"changes": allow_changing(target), "writes-state": allow_writing_state(target)},
)

pulumi.export("previewRoleArn", preview.arn)
pulumi.export("deployRoleArn", deploy.arn)
pulumi.export("permissionsBoundaryArn", boundary.arn)
pulumi.export("oidcProviderArn", provider_arn)
