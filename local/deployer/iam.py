"""IAM roles and their policies. The emulator enforces what a role allows for Lambdas, and for nobody else."""

from typing import Final

from local.deployer.core import OWN, Call, Created, Field, Kind, tag_list, without_empty


def _create_role(call: Call) -> Created:
    name, client = call.name(), call.client("iam")
    role = client.create_role(RoleName=name, **without_empty(call.params))["Role"]
    for policy in call.inputs.get("inlinePolicies") or []:
        if policy.get("policy"):
            client.put_role_policy(RoleName=name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
    for arn in call.inputs.get("managedPolicyArns") or []:
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    return name, {"name": name, "arn": role["Arn"], "uniqueId": role["RoleId"]}


def _create_role_policy(call: Call) -> Created:
    role, name = call.inputs["role"], call.name()
    call.client("iam").put_role_policy(RoleName=role, PolicyName=name, **call.params)
    return f"{role}:{name}", {"name": name}


def _attach(call: Call) -> Created:
    call.client("iam").attach_role_policy(**call.params)
    return f"{call.inputs['role']}/{call.inputs['policyArn']}", {}


def _create_policy(call: Call) -> Created:
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
            "forceDetachPolicies": OWN,  # matters when a role is deleted
            "tags": tag_list(),
        },
        outputs=("arn", "name", "uniqueId"),
        create=_create_role,
    ),
    Kind(
        resource_type="aws:iam/rolePolicy:RolePolicy",
        inputs={"name": OWN, "role": OWN, "policy": "PolicyDocument"},
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
