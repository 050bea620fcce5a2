"""Secrets Manager."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Kind, not_emulated, tag_list, without_empty


def _create_secret(call: Creation) -> Created:
    name = call.name()
    answer = call.client("secretsmanager").create_secret(Name=name, **without_empty(call.params))
    return answer["ARN"], {"name": name, "arn": answer["ARN"]}


def _put_version(call: Creation) -> Created:
    secret = call.inputs["secretId"]
    answer = call.client("secretsmanager").put_secret_value(SecretId=secret, **without_empty(call.params))
    return f"{secret}|{answer['VersionId']}", {"arn": answer["ARN"], "versionId": answer["VersionId"]}


KINDS: Final = (
    Kind(
        resource_type="aws:secretsmanager/secret:Secret",
        inputs={
            "name": OWN,
            "description": "Description",
            "tags": tag_list(),
            "recoveryWindowInDays": OWN,  # used only by a deletion
            "kmsKeyId": not_emulated("the emulator keeps secrets in memory"),
        },
        outputs=("arn", "name"),
        create=_create_secret,
    ),
    Kind(
        resource_type="aws:secretsmanager/secretVersion:SecretVersion",
        inputs={"secretId": OWN, "secretString": "SecretString", "versionStages": "VersionStages"},
        outputs=("arn", "versionId"),
        create=_put_version,
    ),
)
