"""A DynamoDB table with its indexes, protection and grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.iam import Grant
from components.settings.tables import TableSettings

ReadAction = Literal["GetItem", "BatchGetItem", "Scan"]
WriteAction = Literal["PutItem", "UpdateItem", "DeleteItem"]


@dataclass(frozen=True, kw_only=True)
class Index:
    """A global secondary index over two string attributes. It has keys only: most updates do not write it."""

    name: str
    hash_key: str
    range_key: str


class Table(pulumi.ComponentResource):
    """A table whose items have one string attribute, `key`, as their key.

    DynamoDB deletes an item some time after the second in its attribute `expires`, free of charge. It may
    take days, so readers check the attribute themselves.

    DynamoDB encrypts every table at rest with its own key, free of charge. A key in KMS would cost a request
    per call, and its additional control is not needed here.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    index_names: list[str]

    def __init__(
        self,
        name: str,
        *,
        key: str,
        settings: TableSettings,
        indexes: Sequence[Index] = (),
        expires: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:storage:Table", name, None, opts)
        self._name = name
        self._indexes = {index.name: index for index in indexes}
        attributes = dict.fromkeys(
            [key, *(part for index in indexes for part in (index.hash_key, index.range_key))]
        )
        # None with PAY_PER_REQUEST: otherwise the provider shows a difference at every preview.
        provisioned = settings.billing_mode == "PROVISIONED"
        read_capacity = settings.read_capacity if provisioned else None
        write_capacity = settings.write_capacity if provisioned else None
        table = aws.dynamodb.Table(
            name,
            hash_key=key,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=attribute, type="S") for attribute in attributes
            ],
            billing_mode=settings.billing_mode,
            read_capacity=read_capacity,
            write_capacity=write_capacity,
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=index.name,
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=index.hash_key, key_type="HASH"
                        ),
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=index.range_key, key_type="RANGE"
                        ),
                    ],
                    projection_type="KEYS_ONLY",
                    read_capacity=read_capacity,
                    write_capacity=write_capacity,
                )
                for index in indexes
            ],
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(
                enabled=settings.point_in_time_recovery,
                recovery_period_in_days=settings.recovery_days if settings.point_in_time_recovery else None,
            ),
            ttl=aws.dynamodb.TableTtlArgs(attribute_name=expires, enabled=True) if expires else None,
            deletion_protection_enabled=settings.deletion_protection,
            opts=pulumi.ResourceOptions(
                parent=self, protect=settings.protect, retain_on_delete=settings.protect
            ),
        )
        self.index_names = list(self._indexes)
        self.name = table.name
        self.arn = table.arn
        self.register_outputs({"name": self.name, "arn": self.arn})

    def grant_read(self, *actions: ReadAction) -> Grant:
        """Returns the permission to read items by exactly these actions."""
        return self._grant("reads", actions)

    def grant_write(self, *actions: WriteAction) -> Grant:
        """Returns the permission to write items by exactly these actions, also in a transaction."""
        return self._grant("writes", actions)

    def grant_update(self, *attributes: str) -> Grant:
        """Returns the permission to update items whose request names only these attributes.

        The answer may not have the item.
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
        """
        return Grant(
            purpose=f"updates-{self._name}",
            actions=["dynamodb:UpdateItem"],
            resources=[self.arn],
            condition={
                "ForAllValues:StringEquals": {"dynamodb:Attributes": sorted(attributes)},
                "StringEqualsIfExists": {"dynamodb:ReturnValues": "NONE"},
            },
        )

    def grant_query(self, *indexes: str) -> Grant:
        """Returns the permission to query these indexes, not the table. Raises KeyError for others."""
        return Grant(
            purpose="-".join(["queries", self._name, *(self._indexes[index].name for index in indexes)]),
            actions=["dynamodb:Query"],
            resources=[pulumi.Output.concat(self.arn, "/index/", index) for index in indexes],
        )

    def _grant(self, verb: str, actions: Sequence[str]) -> Grant:
        return Grant(
            purpose=f"{verb}-{self._name}",
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[self.arn],
        )
