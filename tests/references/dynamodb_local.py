"""AWS's DynamoDB Local on loopback, and the store in memory compared with it call by call."""

from __future__ import annotations

import atexit
import itertools
import json
import subprocess
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MethodType
from typing import Any

import boto3
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.memory.functions import REGION
from local.memory.store import Item, Store
from tests.references.implementations import DYNAMODB

_LAUNCHER = Path(__file__).with_name("LoopbackServer.java")
_make_api_call = BaseClient._make_api_call
_numbers = itertools.count()
_NOT_COMPARED = frozenset(
    {"ResponseMetadata", "Count", "ScannedCount", "ConsumedCapacity", "ItemCollectionMetrics"}
)


@cache
def _endpoint() -> str:
    """Starts the server at the first call. It ends with this process, which closes its standard input."""
    jars = DYNAMODB.folder
    process = subprocess.Popen(
        [
            *("java", f"-Djava.library.path={jars}", "-cp", f"{jars}/*", str(_LAUNCHER)),
            *("-inMemory", "-disableTelemetry"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(process.communicate)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("port "):
            return f"http://127.0.0.1:{line.split()[1]}"
    raise AssertionError("DynamoDB Local did not start")


def empty_database(schemas: Mapping[str, Any]) -> Any:
    """Returns a client of a new database with these tables."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=_endpoint(),
        region_name=REGION,
        # Each access key has a database of its own.
        aws_access_key_id=f"test{next(_numbers)}",
        aws_secret_access_key="none",
    )
    # A backend in memory replaces the method of the class.
    client._make_api_call = MethodType(_make_api_call, client)
    create_tables(client, schemas)
    return client


def outcome(call: Callable[[], Any]) -> Any:
    """What a call answered, as far as it is defined: the answer, or the error's code and items."""
    try:
        answer = call()
    except ClientError as error:
        reasons = [
            {name: reason.get(name) for name in ("Code", "Item")}
            for reason in error.response.get("CancellationReasons", ())
        ]
        return error.response["Error"]["Code"], reasons, error.response.get("Item") or None
    answer = {name: value for name, value in answer.items() if name not in _NOT_COMPARED}
    if "Responses" in answer:
        answer["Responses"] = {table: in_order(items) for table, items in answer["Responses"].items()}
    return answer


def in_order(items: list[Any]) -> list[Any]:
    """Items whose order is not defined, in one that is."""
    return sorted(items, key=lambda item: str(sorted(item.items())))


def scan_all_pages(read: Callable[[dict[str, Any]], Any], request: Mapping[str, Any]) -> list[Any]:
    """The items on all pages of a scan."""
    items: list[Any] = []
    start: dict[str, Any] = {}
    while True:
        page = read({**request, **start})
        assert len(page["Items"]) <= request["Limit"]
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return in_order(items)
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def create_tables(client: Any, schemas: Mapping[str, Any]) -> None:
    """Creates tables from the schemas that the program declares."""
    for name, schema in schemas.items():
        client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **schema)


class _Remote:
    """DynamoDB Local's database of this process, and what is in it. All stores share it, in turn."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self.client = empty_database(schemas)
        self.items: dict[str, dict[str, Item]] = {name: {} for name in schemas}

    def take(self, table: str, key: str, items: dict[str, Item]) -> None:
        """Stores the items that differ from those of a table, and deletes those that it lacks."""
        known = self.items[table]
        for value in [value for value in known if value not in items]:
            self.client.delete_item(TableName=table, Key={key: {"S": value}})
        for value, item in items.items():
            if item is not known.get(value):  # the store changes no item in place
                self.client.put_item(TableName=table, Item=item)
        self.items[table] = dict(items)

    def check(self, table: str, key: str, items: dict[str, Item]) -> None:
        """Fails unless a table has these items. Reads only those that are new."""
        known = self.items[table]
        for value in {*known, *items}:
            if items.get(value) is not known.get(value):
                answer = self.client.get_item(TableName=table, Key={key: {"S": value}}, ConsistentRead=True)
                assert answer.get("Item") == items.get(value), (table, value)
        self.items[table] = dict(items)


@cache
def _remote(schemas: str) -> _Remote:
    return _Remote(json.loads(schemas))


class ComparedStore(Store):
    """The store in memory, whose every call DynamoDB Local must answer alike.

    What a test stores without a call is stored there before the next call.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        super().__init__(schemas)
        self._remote = _remote(json.dumps(schemas))

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answers one call. Fails if DynamoDB Local answers or stores something else."""
        for name, table in self.tables.items():
            self._remote.take(name, table.key, table.items)
        method = getattr(self._remote.client, xform_name(operation))
        if operation == "Scan":
            if "ExclusiveStartKey" not in request:
                items = scan_all_pages(partial(super().call, operation), request)
                assert items == scan_all_pages(lambda page: method(**page), request), request
            return super().call(operation, request)
        answer = _Answer(partial(super().call, operation, request))
        ours, theirs = outcome(answer.repeat), outcome(lambda: method(**request))
        if operation == "Query":
            sort_key = self.tables[request["TableName"]].indexes[request["IndexName"]].range_key
            ours, theirs = _order_ties(ours, sort_key), _order_ties(theirs, sort_key)
        assert ours == theirs, (operation, request)
        for name, table in self.tables.items():
            self._remote.check(name, table.key, table.items)
        return answer.repeat()


def _order_ties(answer: dict[str, Any], sort_key: str) -> dict[str, Any]:
    """An answer of Query. The order of items with the same sort key is not defined."""
    items = sorted(in_order(answer["Items"]), key=lambda item: str(item[sort_key]))
    return {**answer, "Items": items, "sort keys": [item[sort_key] for item in answer["Items"]]}


class _Answer:
    """What a call returned or raised, to be had several times."""

    def __init__(self, call: Callable[[], dict[str, Any]]) -> None:
        self._returned: dict[str, Any] = {}
        self._raised: ClientError | None = None
        try:
            self._returned = call()
        except ClientError as error:
            self._raised = error

    def repeat(self) -> dict[str, Any]:
        """Returns or raises it again."""
        if self._raised is not None:
            raise self._raised
        return self._returned
