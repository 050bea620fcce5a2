"""IAM roles and their policies. The emulator enforces a Lambda's role only."""

import json
from typing import Final

from local.aws.core import OWN, Created, Creation, Field, Kind, tag_list, without_empty


def _create_role(call: Creation) -> Created:
    name, client = call.name(), call.client("iam")
    role = client.create_role(RoleName=name, **without_empty(call.params))["Role"]
    for policy in call.inputs.get("inlinePolicies") or []:
        if policy.get("policy"):
            client.put_role_policy(RoleName=name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
    for arn in call.inputs.get("managedPolicyArns") or []:
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    return name, {"name": name, "arn": role["Arn"], "uniqueId": role["RoleId"]}


# The action that the emulator also requires, by the one that suffices on AWS.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
_EMULATOR_ACTIONS: Final = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
}


def with_emulator_actions(policy: str) -> str:
    """Returns a policy for AWS (JSON), with the actions that only the emulator requires."""
    document = json.loads(policy)
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Action" in statement:
            action = statement["Action"]
            actions = [action] if isinstance(action, str) else action
            more = [_EMULATOR_ACTIONS[name] for name in actions if name in _EMULATOR_ACTIONS]
            statement["Action"] = [*actions, *more]
    return json.dumps(document)


def _create_role_policy(call: Creation) -> Created:
    role, name = call.inputs["role"], call.name()
    document = with_emulator_actions(call.inputs["policy"])
    call.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
    return f"{role}:{name}", {"name": name}


def _attach(call: Creation) -> Created:
    call.client("iam").attach_role_policy(**call.params)
    return f"{call.inputs['role']}/{call.inputs['policyArn']}", {}


def _create_policy(call: Creation) -> Created:
    name = call.name()
    policy = call.client("iam").create_policy(PolicyName=name, **without_empty(call.params))["Policy"]
    return policy["Arn"], {"name": name, "arn": policy["Arn"], "policyId": policy["PolicyId"]}


KINDS: Final = (
    Kind(
        resource_type="aws:iam/role:Role",
        inputs={
            "name": OWN,
            "assumeRolePolicy": "AssumeRolePolicyDocument",
            "description": "Description",
            "path": "Path",
            "maxSessionDuration": "MaxSessionDuration",
            "permissionsBoundary": "PermissionsBoundary",
            "inlinePolicies": Field(fields={"name": OWN, "policy": OWN}),
            "managedPolicyArns": OWN,
            "forceDetachPolicies": OWN,  # used only by a deletion
            "tags": tag_list(),
        },
        outputs=("arn", "name", "uniqueId"),
        create=_create_role,
    ),
    Kind(
        resource_type="aws:iam/rolePolicy:RolePolicy",
        inputs={"name": OWN, "role": OWN, "policy": OWN},
        outputs=("name",),
        create=_create_role_policy,
    ),
    Kind(
        resource_type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        inputs={"role": "RoleName", "policyArn": "PolicyArn"},
        create=_attach,
    ),
    Kind(
        resource_type="aws:iam/policy:Policy",
        inputs={
            "name": OWN,
            "policy": "PolicyDocument",
            "description": "Description",
            "path": "Path",
            "tags": tag_list(),
        },
        outputs=("arn", "name", "policyId"),
        create=_create_policy,
    ),
)
