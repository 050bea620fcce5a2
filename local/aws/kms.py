"""KMS keys."""

from typing import Final

from local.aws.core import OWN, Created, Creation, Kind, not_emulated, tag_list, without_empty


def _create_key(call: Creation) -> Created:
    client = call.client("kms")
    metadata = client.create_key(**without_empty(call.params))["KeyMetadata"]
    if call.inputs.get("enableKeyRotation"):
        client.enable_key_rotation(KeyId=metadata["KeyId"])
    return metadata["KeyId"], {"keyId": metadata["KeyId"], "arn": metadata["Arn"]}


KINDS: Final = (
    Kind(
        resource_type="aws:kms/key:Key",
        inputs={
            "description": "Description",
            "policy": "Policy",
            "keyUsage": "KeyUsage",
            "enableKeyRotation": OWN,
            "tags": tag_list("Tags", "TagKey", "TagValue"),
            "deletionWindowInDays": OWN,  # used only by a deletion
            "rotationPeriodInDays": not_emulated("the emulator rotates no keys"),
        },
        outputs=("arn", "keyId"),
        create=_create_key,
    ),
)
