"""Users and products: records with a version, which change field by field."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.errors import AlreadyExists, NotFound, StoreContention, VersionMismatch
from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.products import Product
from functions.shared.domain.users import User
from functions.shared.persistence.dynamodb import (
    Item,
    UpdateExpression,
    from_item,
    is_condition_failure,
    item_before,
    own_first_try,
    struct_to_item,
    was_repeated,
    write,
)
from functions.shared.persistence.pages import Page, decode_token, encode_token

# Seconds before BatchGetItem is asked for its unprocessed keys: 0.75 s in all, within a task's time.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.BatchOperations
_BATCH_PAUSES = (0.05, 0.1, 0.2, 0.4)

T = TypeVar("T", bound=User | Product)


def batch_get(client: Any, table: str, key_name: str, ids: Iterable[str], *, consistent: bool) -> list[Item]:
    """Returns up to 100 items by their keys, in no order. A key without an item is skipped.

    Keys that DynamoDB leaves unprocessed are read again after growing pauses. Raises `StoreContention` if
    some remain.
    """
    keys = [{key_name: {"S": key}} for key in ids]
    if not keys:
        return []
    request: Any = {table: {"Keys": keys, "ConsistentRead": consistent}}
    found: list[Item] = []
    for seconds in (*_BATCH_PAUSES, None):
        answer = client.batch_get_item(RequestItems=request)
        found.extend(answer["Responses"].get(table, []))
        request = answer.get("UnprocessedKeys")
        if not request:
            return found
        if seconds is not None:
            # A random part, so that many callers do not return at once.
            clock.pause(seconds * random.uniform(0.5, 1))  # noqa: S311
    raise StoreContention("the store is busy")


class Records(Generic[T]):
    """One table of versioned records with a string key."""

    def __init__(self, client: Any, table: str, key_name: str, kind: type[T]) -> None:
        self._client = client
        self._table = table
        self._key_name = key_name
        self._kind = kind

    def create(self, record: T) -> T:
        """Stores a new record and returns it.

        Its id is new, so an existing record was written by an earlier try of this request, and is returned.
        """
        try:
            self._client.put_item(
                TableName=self._table,
                Item=struct_to_item(record),
                ConditionExpression=f"attribute_not_exists({self._key_name})",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            first = item_before(error)
            if first is None:
                raise
            return self._read(first)
        return record

    def find(self, record_id: str, *, consistent: bool = True) -> T | None:
        """Returns the record, or None. An eventually consistent read costs half."""
        answer = self._client.get_item(
            TableName=self._table, Key=self._key(record_id), ConsistentRead=consistent
        )
        return self._read(answer["Item"]) if "Item" in answer else None

    def get(self, record_id: str) -> T:
        """Returns the record as it is now. Raises `NotFound`."""
        record = self.find(record_id)
        if record is None:
            raise NotFound(f"there is no {self._noun} {record_id}")
        return record

    def check_exists(self, record_id: str) -> None:
        """Raises `NotFound` if there is no such record.

        An eventually consistent read costs half. Only if it finds nothing, a consistent read decides.
        """
        if self.find(record_id, consistent=False) is None:
            self.get(record_id)

    def find_many(self, record_ids: Iterable[str], *, consistent: bool) -> dict[str, T]:
        """Returns those of up to 100 records that exist, by id."""
        items = batch_get(self._client, self._table, self._key_name, record_ids, consistent=consistent)
        return {item[self._key_name]["S"]: self._read(item) for item in items}

    def find_each(self, record_ids: Iterable[str]) -> dict[str, T]:
        """Returns those of up to 100 records that exist, by id, by eventually consistent reads.

        A record that such a read does not find may be new: a consistent read decides.
        """
        ids = list(record_ids)
        found = self.find_many(ids, consistent=False)
        missing = [record_id for record_id in ids if record_id not in found]
        return found | self.find_many(missing, consistent=True)

    def page_with(self, field: str, value: str, limit: int, token: str | None) -> Page[T]:
        """Returns one page of the records with this value of a field, sorted by id.

        Makes one Query on the field's index (`byCategory`) and one BatchGetItem. Raises `InvalidPageToken`.
        """
        list_name = f"{self._noun} with {field} {value}"
        start = decode_token(list_name, self._key_name, token)
        if start:
            start["ExclusiveStartKey"][field] = {"S": value}
        answer = self._client.query(
            TableName=self._table,
            IndexName=f"by{field.capitalize()}",
            KeyConditionExpression=f"{field} = :value",
            ExpressionAttributeValues={":value": {"S": value}},
            Limit=limit,
            **start,
        )
        ids = [item[self._key_name]["S"] for item in answer["Items"]]
        found = self.find_many(ids, consistent=False)
        last = answer.get("LastEvaluatedKey")
        return Page(
            # The index lags behind the table: a record may be deleted, or have another value by now.
            items=[found[one] for one in ids if one in found and getattr(found[one], field) == value],
            next_token=encode_token(list_name, last and {self._key_name: last[self._key_name]}),
        )

    def page(self, limit: int, token: str | None) -> Page[T]:
        """Returns one page of all records, in no particular order. Reads `limit` items.

        Raises `InvalidPageToken`.
        """
        answer = self._client.scan(
            TableName=self._table, Limit=limit, **decode_token(self._noun, self._key_name, token)
        )
        return Page(
            items=[self._read(item) for item in answer["Items"]],
            next_token=encode_token(self._noun, answer.get("LastEvaluatedKey")),
        )

    def patch(
        self, record_id: str, changes: Mapping[str, object], *, at: str, versions: set[int] | None
    ) -> T:
        """Changes exactly the fields in `changes` (named as stored; None removes one) and counts the version.

        With `versions` only a record in one of these changes. Raises `NotFound` and `VersionMismatch`.
        """
        try:
            return self.write_once(
                record_id,
                lambda: self._change(changes, at, versions).require_exists(self._key_name),
                at,
            )
        except ClientError as error:
            raise self._refused(error, record_id) from error

    def put(
        self,
        record_id: str,
        fields: Mapping[str, object],
        *,
        defaults: Mapping[str, object],
        at: str,
        condition: Precondition,
    ) -> tuple[T, bool]:
        """Creates a record under this id, or replaces its `fields` (None removes one).

        `defaults` are set only in a new record. Returns the record, and whether it is new. Raises `NotFound`,
        `VersionMismatch` and `AlreadyExists`.
        """

        def replace() -> UpdateExpression:
            update = self._change(fields, at, condition.versions).set_default("createdAt", at)
            for field, value in defaults.items():
                update.set_default(field, value)
            if condition.must_exist:
                update.require_exists(self._key_name)
            if condition.must_be_new:
                update.require_absent(self._key_name)
            return update

        try:
            record = self.write_once(record_id, replace, at)
        except ClientError as error:
            refused = self._refused(error, record_id)
            if condition.must_be_new and isinstance(refused, VersionMismatch):
                raise AlreadyExists(f"there is a {self._noun} {record_id} already") from error
            raise refused from error
        return record, record.version == 1 and record.created_at == at

    def write_once(self, record_id: str, change: Callable[[], UpdateExpression], at: str) -> T:
        """Writes a change that sets `updatedAt` to `at`, once: a repeat by botocore changes nothing.

        `change` returns a new expression at each call. Returns the record as it is then. Raises botocore's
        errors.
        """
        once = change()
        updated_at = once.name("updatedAt")
        once.require(f"attribute_not_exists({updated_at}) OR {updated_at} <> {once.value(at)}")
        try:
            return self._update(record_id, once)
        except ClientError as error:
            written = own_first_try(error, once)
            if written is not None:
                return self._read(written)
            item = item_before(error)
            if item is None or item["updatedAt"]["S"] != at:
                raise
        # Another writer changed the record in the same millisecond.
        return self._update(record_id, change())

    def transact(self, record_id: str, update: UpdateExpression, *others: dict[str, Any]) -> None:
        """Writes one record together with updates of other tables: all or none. Raises botocore's errors."""
        own = {
            "TableName": self._table,
            "Key": self._key(record_id),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **update.parameters(),
        }
        self._client.transact_write_items(TransactItems=[{"Update": change} for change in (own, *others)])

    def delete(self, record_id: str, *, versions: set[int] | None) -> None:
        """Deletes a record. Raises `NotFound` and `VersionMismatch`."""
        update = UpdateExpression().require_exists(self._key_name)
        if versions is not None:
            update.require_version(versions)
        parameters = update.parameters()
        del parameters["UpdateExpression"]
        try:
            write(
                self._client.delete_item,
                TableName=self._table,
                Key=self._key(record_id),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **parameters,
            )
        except ClientError as error:
            refused = self._refused(error, record_id)
            if isinstance(refused, NotFound) and was_repeated(error):
                return
            raise refused from error

    def _change(self, changes: Mapping[str, object], at: str, versions: set[int] | None) -> UpdateExpression:
        update = UpdateExpression().set("updatedAt", at).count("version")
        for field, value in changes.items():
            if value is None:
                update.remove(field)
            else:
                update.set(field, value)
        if versions is not None:
            update.require_version(versions)
        return update

    def _update(self, record_id: str, update: UpdateExpression) -> T:
        answer = write(
            self._client.update_item,
            TableName=self._table,
            Key=self._key(record_id),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **update.parameters(),
        )
        return self._read(answer["Attributes"])

    @property
    def _noun(self) -> str:
        return self._kind.__name__.lower()

    def _key(self, record_id: str) -> Item:
        return {self._key_name: {"S": record_id}}

    def _read(self, item: Item) -> T:
        return msgspec.convert(from_item(item), self._kind)

    def _refused(self, error: ClientError, record_id: str) -> ClientError | NotFound | VersionMismatch:
        if not is_condition_failure(error):
            return error
        if item_before(error) is None:
            return NotFound(f"there is no {self._noun} {record_id}")
        return VersionMismatch(f"the {self._noun} was changed since the version that If-Match names")


def users(client: Any, table: str) -> Records[User]:
    """Returns the users in this table."""
    return Records(client, table, "userId", User)


def products(client: Any, table: str) -> Records[Product]:
    """Returns the products in this table."""
    return Records(client, table, "productId", Product)
