"""DynamoDB tables."""

from typing import Any, Final

from local.aws.core import OWN, Created, Creation, DeployError, Field, Kind, not_emulated, only, tag_list

_PROVISIONED: Final = "PROVISIONED"


def _throughput(source: dict[str, Any]) -> dict[str, int]:
    return {
        "ReadCapacityUnits": int(source.get("readCapacity") or 1),
        "WriteCapacityUnits": int(source.get("writeCapacity") or 1),
    }


def _key_schema(source: dict[str, Any]) -> list[dict[str, str]]:
    """Returns the key schema from hashKey and rangeKey, or from the list `keySchemas`."""
    if source.get("keySchemas"):
        return [
            {"AttributeName": key["attributeName"], "KeyType": key["keyType"]} for key in source["keySchemas"]
        ]
    keys = [(source.get("hashKey"), "HASH"), (source.get("rangeKey"), "RANGE")]
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys if name]


def _index(source: dict[str, Any], billing: str) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": source["projectionType"]}
    if source.get("nonKeyAttributes"):
        projection["NonKeyAttributes"] = source["nonKeyAttributes"]
    index = {"IndexName": source["name"], "KeySchema": _key_schema(source), "Projection": projection}
    return index | ({"ProvisionedThroughput": _throughput(source)} if billing == _PROVISIONED else {})


def _create_table(call: Creation) -> Created:
    inputs, client = dict(call.inputs), call.client("dynamodb")
    name = call.name()
    billing = inputs.get("billingMode", _PROVISIONED)
    params = call.params | {"TableName": name, "BillingMode": billing, "KeySchema": _key_schema(inputs)}
    if billing == _PROVISIONED:
        params["ProvisionedThroughput"] = _throughput(inputs)
    indexes = [_index(index, billing) for index in inputs.get("globalSecondaryIndexes") or []]
    if indexes:
        params["GlobalSecondaryIndexes"] = indexes
    if inputs.get("streamEnabled"):
        params["StreamSpecification"] = {
            "StreamEnabled": True,
            "StreamViewType": inputs.get("streamViewType"),
        }
    table = client.create_table(**params)["TableDescription"]
    if inputs.get("ttl"):
        client.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={
                "AttributeName": inputs["ttl"]["attributeName"],
                "Enabled": inputs["ttl"].get("enabled", True),
            },
        )
    if (inputs.get("pointInTimeRecovery") or {}).get("enabled"):
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    if table["TableStatus"] != "ACTIVE":
        raise DeployError(f"the table is {table['TableStatus']}, expected ACTIVE")
    return name, {
        "name": name,
        "arn": table["TableArn"],
        "billingMode": billing,
        "streamArn": table.get("LatestStreamArn"),
    }


_INDEX_FIELDS: Final[dict[str, Field | str]] = {
    "name": OWN,
    "hashKey": OWN,
    "rangeKey": OWN,
    "keySchemas": Field(fields={"attributeName": OWN, "keyType": OWN}),
    "projectionType": OWN,
    "nonKeyAttributes": OWN,
    "readCapacity": OWN,
    "writeCapacity": OWN,
}

KINDS: Final = (
    Kind(
        resource_type="aws:dynamodb/table:Table",
        inputs={
            "name": OWN,
            "attributes": Field(
                to="AttributeDefinitions", fields={"name": "AttributeName", "type": "AttributeType"}
            ),
            "hashKey": OWN,
            "rangeKey": OWN,
            "billingMode": OWN,
            "readCapacity": OWN,
            "writeCapacity": OWN,
            "globalSecondaryIndexes": Field(fields=_INDEX_FIELDS),
            "ttl": Field(fields={"attributeName": OWN, "enabled": OWN}),
            "streamEnabled": OWN,
            "streamViewType": OWN,
            "pointInTimeRecovery": Field(fields={"enabled": OWN, "recoveryPeriodInDays": OWN}),
            "deletionProtectionEnabled": "DeletionProtectionEnabled",
            "tableClass": only("TableClass", "STANDARD", "STANDARD_INFREQUENT_ACCESS"),
            "tags": tag_list(),
            "serverSideEncryption": not_emulated("the emulator keeps items in memory"),
            "onDemandThroughput": not_emulated("the emulator limits no throughput"),
        },
        outputs=("arn", "name"),
        create=_create_table,
    ),
)
