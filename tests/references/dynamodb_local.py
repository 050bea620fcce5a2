"""AWS's DynamoDB Local on loopback, and the store in memory compared with it call by call."""

from __future__ import annotations

import atexit
import itertools
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MethodType
from typing import Any
from unittest.mock import patch

import boto3
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.memory.functions import REGION
from local.memory.store import Item, Store
from tests.references.implementations import DYNAMODB

_Address = tuple[str, str]  # of an item: its table and its key
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_LAUNCHER = Path(__file__).with_name("LoopbackServer.java")
_uuid4 = uuid.uuid4
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
        self.compared: set[str] = set()  # what is known to have the same effect there
        self._keys = {name: schema["KeySchema"][0]["AttributeName"] for name, schema in schemas.items()}
        self._items: dict[_Address, Item] = {}

    def take(self, items: Mapping[_Address, Item | None]) -> None:
        """Stores these items there, and deletes those that are None."""
        for (table, value), item in items.items():
            if item is None:
                self.client.delete_item(TableName=table, Key=self._key(table, value))
            elif item != self._items.get((table, value)):
                self.client.put_item(TableName=table, Item=item)
            self._record(table, value, item)

    def others(self, items: Mapping[_Address, Item | None]) -> dict[_Address, None]:
        """Returns the items of the same tables that are there, and not in `items`."""
        tables = {table for table, _ in items}
        return {address: None for address in self._items if address[0] in tables and address not in items}

    def check(self, items: Mapping[_Address, Item | None]) -> None:
        """Fails unless these items are there."""
        for (table, value), item in items.items():
            answer = self.client.get_item(TableName=table, Key=self._key(table, value), ConsistentRead=True)
            assert answer.get("Item") == item, (table, value)
            self._record(table, value, item)

    def _key(self, table: str, value: str) -> Item:
        return {self._keys[table]: {"S": value}}

    def _record(self, table: str, value: str, item: Item | None) -> None:
        if item is None:
            self._items.pop((table, value), None)
        else:
            self._items[table, value] = item


@cache
def _remote(schemas: str) -> _Remote:
    return _Remote(json.loads(schemas))


class ComparedStore(Store):
    """The store in memory, whose every call DynamoDB Local must answer alike, and store alike.

    Before a call, the items that it may touch are stored there. Two calls are one if request and items differ
    in their times only, and these have the same order. Then only the first is compared.
    """

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        super().__init__(schemas)
        with patch("uuid.uuid4", _uuid4):
            self._remote = _remote(json.dumps(schemas))

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answers one call. Fails if DynamoDB Local answers or stores something else."""
        before = self._touched(operation, request)
        same = _without_times(operation, request, before)
        if same in self._remote.compared:
            return super().call(operation, request)
        # botocore's calls take ids of their own: interleavings give each actor the same ids in every run.
        with patch("uuid.uuid4", _uuid4):
            answer = self._compared(operation, request, before)
        self._remote.compared.add(same)
        return answer

    def _compared(
        self, operation: str, request: Mapping[str, Any], before: Mapping[_Address, Item | None]
    ) -> dict[str, Any]:
        if operation in {"Query", "Scan"}:
            self._remote.take(self._remote.others(before))
        self._remote.take(before)
        method = getattr(self._remote.client, xform_name(operation))
        answer = _Answer(partial(super().call, operation, request))
        if operation == "Scan":
            # Its pages are not compared one by one, because their order is not defined.
            first = {name: value for name, value in request.items() if name != "ExclusiveStartKey"}
            items = scan_all_pages(partial(super().call, operation), first)
            assert items == scan_all_pages(lambda page: method(**page), first), request
        else:
            ours, theirs = outcome(answer.repeat), outcome(lambda: method(**request))
            if operation == "Query":
                sort_key = self.tables[request["TableName"]].indexes[request["IndexName"]].range_key
                ours, theirs = _order_ties(ours, sort_key), _order_ties(theirs, sort_key)
            assert ours == theirs, (operation, request)
            if operation not in {"BatchGetItem", "GetItem", "Query"}:
                self._remote.check({address: self._item(address) for address in before})
        return answer.repeat()

    def _touched(self, operation: str, request: Mapping[str, Any]) -> dict[_Address, Item | None]:
        """Returns the items that a call may read or write, by table and key. None: there is no such item."""
        if operation in {"Query", "Scan"}:
            table = request["TableName"]
            return {(table, value): item for value, item in self.tables[table].items.items()}
        if operation == "BatchGetItem":
            wanted = [(name, key) for name, keys in request["RequestItems"].items() for key in keys["Keys"]]
        else:
            actions = [request]
            if operation == "TransactWriteItems":
                actions = [action for (action,) in (one.values() for one in request["TransactItems"])]
            wanted = [(action["TableName"], action.get("Key") or action["Item"]) for action in actions]
        addresses = [(name, key[self.tables[name].key]["S"]) for name, key in wanted]
        return {address: self._item(address) for address in addresses}

    def _item(self, address: _Address) -> Item | None:
        table, value = address
        return self.tables[table].items.get(value)


def _without_times(operation: str, request: Mapping[str, Any], items: Mapping[_Address, Any]) -> str:
    """Returns a call and its items as text, with numbers in place of times: the earliest is 0."""
    content = [(name, value) for name, value in request.items() if name != "ClientRequestToken"]
    text = repr((operation, content, items))
    numbers = {time: number for number, time in enumerate(sorted(set(_TIME.findall(text))))}
    return _TIME.sub(lambda time: f"time {numbers[time[0]]}", text)


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
