"""The account of the provider plugin: a SQLite file with its resources and all calls.

Several processes may use the file at once: the CLI starts a plugin for each command, and a test reads it.
"""

import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = """
create table if not exists resources (
    number integer primary key, type text, id text, urn text, inputs text, outputs text, unique (type, id)
);
create table if not exists calls (
    number integer primary key, method text, type text, urn text, id text, inputs text, old_inputs text
);
"""


class AccountError(Exception):
    """AWS would refuse the call."""


def logical_name(urn: str) -> str:
    """Returns the logical name in a URN."""
    return urn.split("::", 3)[3]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A resource of the account, with values under the provider's camelCase names."""

    number: int  # of creation
    type: str
    id: str
    urn: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]

    @property
    def name(self) -> str:
        """The logical name in the program."""
        return logical_name(self.urn)


@dataclass(frozen=True, kw_only=True)
class ProviderCall:
    """A call of the provider that changed or read the account."""

    method: str  # create, update, delete or read
    type: str
    urn: str
    id: str
    inputs: dict[str, Any]
    old_inputs: dict[str, Any]  # of an update

    @property
    def name(self) -> str:
        """The logical name in the program."""
        return logical_name(self.urn)


class Account:
    """Resources and calls. Each method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        # Fast instead of durable: only tests use the file.
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = off")
        self._database.executescript(_SCHEMA)

    def number_of_calls(self, token: str) -> int:
        """Returns how many calls were made for resources of this type."""
        with self._lock:
            (number,) = self._database.execute(
                "select count(*) from calls where type = ?", (token,)
            ).fetchone()
        return int(number)

    def record(
        self,
        method: str,
        token: str,
        urn: str,
        resource_id: str,
        inputs: Mapping[str, Any] | None = None,
        old_inputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds a call to the record."""
        values = (method, token, urn, resource_id, json.dumps(inputs or {}), json.dumps(old_inputs or {}))
        with self._lock:
            self._database.execute(
                "insert into calls (method, type, urn, id, inputs, old_inputs) values (?, ?, ?, ?, ?, ?)",
                values,
            )

    def create(
        self, token: str, resource_id: str, urn: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> None:
        """Adds a resource. Raises AccountError if the name is taken."""
        with self._lock:
            try:
                self._database.execute(
                    "insert into resources (type, id, urn, inputs, outputs) values (?, ?, ?, ?, ?)",
                    (token, resource_id, urn, json.dumps(inputs), json.dumps(outputs)),
                )
            except sqlite3.IntegrityError as error:
                raise AccountError(f"{token} {resource_id} already exists") from error

    def change(
        self, token: str, resource_id: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> None:
        """Changes a resource. Raises AccountError if there is none."""
        with self._lock:
            changed = self._database.execute(
                "update resources set inputs = ?, outputs = ? where type = ? and id = ?",
                (json.dumps(inputs), json.dumps(outputs), token, resource_id),
            )
            if not changed.rowcount:
                raise AccountError(f"{token} {resource_id} does not exist")

    def delete(self, token: str, resource_id: str) -> None:
        """Deletes a resource, if there is one. Raises AccountError for deletion protection."""
        with self._lock:
            found = self._row(token, resource_id)
            if found and found.inputs.get("deletionProtectionEnabled"):
                raise AccountError(f"{token} {resource_id} is protected against deletion")
            self._database.execute("delete from resources where type = ? and id = ?", (token, resource_id))

    def get(self, token: str, resource_id: str) -> Stored | None:
        """Returns a resource, or None."""
        with self._lock:
            return self._row(token, resource_id)

    def resources(self) -> list[Stored]:
        """Returns all resources, in the order of creation."""
        with self._lock:
            rows = self._database.execute(
                "select number, type, id, urn, inputs, outputs from resources order by number"
            ).fetchall()
        return [_stored(row) for row in rows]

    def calls(self) -> list[ProviderCall]:
        """Returns all calls, in their order."""
        with self._lock:
            rows = self._database.execute(
                "select method, type, urn, id, inputs, old_inputs from calls order by number"
            ).fetchall()
        return [
            ProviderCall(
                method=method,
                type=token,
                urn=urn,
                id=resource_id,
                inputs=json.loads(inputs),
                old_inputs=json.loads(old_inputs),
            )
            for method, token, urn, resource_id, inputs, old_inputs in rows
        ]

    def _row(self, token: str, resource_id: str) -> Stored | None:
        row = self._database.execute(
            "select number, type, id, urn, inputs, outputs from resources where type = ? and id = ?",
            (token, resource_id),
        ).fetchone()
        return _stored(row) if row else None


def _stored(row: tuple[Any, ...]) -> Stored:
    number, token, resource_id, urn, inputs, outputs = row
    return Stored(
        number=number,
        type=token,
        id=resource_id,
        urn=urn,
        inputs=json.loads(inputs),
        outputs=json.loads(outputs),
    )
