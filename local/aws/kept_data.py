"""Keeps the items of tables and the messages of queues over a restart, for `python -m local up --keep`.

The emulator's process writes each change of an item before it answers the call. It writes the messages of a
queue a fifth of a second after a change. At the next start it fills each table and queue when the program
creates it. Logs, metrics, executions and the counts of quotas are not kept.
"""

import contextlib
import json
import os
import re
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from local.environment import project_version

_FORMAT: Final = 1
_WRITE_INTERVAL: Final = 0.2  # seconds, of the messages
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS items (
    table_name TEXT, partition_key TEXT, sort_key TEXT, item TEXT,
    PRIMARY KEY (table_name, partition_key, sort_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (queue TEXT PRIMARY KEY, messages TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written_by (version TEXT);
"""


class KeptDataError(Exception):
    """The kept data cannot be used. The message is one sentence that names the folder."""


def check_kept_data(folder: Path) -> None:
    """Makes the folder, or checks the data in it. Raises KeptDataError for broken data or a later version."""
    advice = f"Delete {folder} to start empty."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.closing(_connect(folder)) as database:
            (written,) = database.execute("PRAGMA user_version").fetchone()
            if written not in {0, _FORMAT}:
                raise KeptDataError(f"The data in {folder} has format {written}, not {_FORMAT}. {advice}")
            (problem,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if problem != "ok":
                raise KeptDataError(f"The data in {folder} is broken ({problem}). {advice}")
            database.executescript(f"{_TABLES} PRAGMA user_version = {_FORMAT};")
            later = database.execute("SELECT version FROM written_by").fetchone() or ("0",)
            if _comparable(later[0]) > _comparable(project_version()):
                raise KeptDataError(
                    f"The data in {folder} was written by version {later[0]}, later than "
                    f"{project_version()}. Use that version. {advice}"
                )
            with database:
                database.execute("DELETE FROM written_by")
                database.execute("INSERT INTO written_by VALUES (?)", (project_version(),))
    except (OSError, sqlite3.Error) as error:
        raise KeptDataError(f"The data in {folder} cannot be used: {error}. {advice}") from error


def keep_data(folder: Path) -> None:
    """Makes the emulator in this process keep its data in a folder that `check_kept_data` has accepted."""
    _keep_items(folder)
    _keep_messages(folder)


def _comparable(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _connect(folder: Path) -> sqlite3.Connection:
    file = folder / "data.sqlite3"
    # It holds personal data: only this user may read it.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(file, check_same_thread=False)
    # A killed process loses nothing; a power failure may lose the last writes.
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
    return database


def _keep_items(folder: Path) -> None:
    from ministack.services import dynamodb

    database = _connect(folder)
    create, put, remove, handle = (
        dynamodb._create_table,
        dynamodb._set_item,
        dynamodb._remove_item,
        dynamodb.handle_request,
    )
    unwritten: list[tuple[str, str, str, str | None]] = []

    def create_with_items(data: dict[str, Any]) -> Any:
        name, key = data.get("TableName"), {each["AttributeName"] for each in data.get("KeySchema", ())}
        rows = database.execute(
            "SELECT partition_key, sort_key, item FROM items WHERE table_name = ?", (name,)
        ).fetchall()
        items = [(partition, sort, json.loads(item)) for partition, sort, item in rows]
        if not all(key <= item.keys() for *_, item in items):
            message = f"The items of {name} in {folder} have another key. Delete {folder} to start empty."
            return dynamodb.error_response_json("ValidationException", message, 400)
        answer = create(data)
        if answer[0] == 200:
            for partition, sort, item in items:
                put(dynamodb._tables[name], partition, sort, item)
        return answer

    def put_and_note(table: dict[str, Any], partition: str, sort: str, item: dict[str, Any]) -> Any:
        unwritten.append((table["TableName"], partition, sort, json.dumps(item)))
        return put(table, partition, sort, item)

    def remove_and_note(table: dict[str, Any], partition: str, sort: str) -> Any:
        unwritten.append((table["TableName"], partition, sort, None))
        return remove(table, partition, sort)

    async def write_before_answer(*args: Any) -> Any:
        answer = await handle(*args)
        try:
            _write_items(database, unwritten)
        except sqlite3.Error as error:
            # The changes stay in `unwritten`: the next call writes them too.
            message = f"The data cannot be kept in {folder}: {error}"
            _log(message)
            return dynamodb.error_response_json("InternalServerError", message, 500)
        return answer

    dynamodb._create_table = create_with_items
    dynamodb._set_item = put_and_note
    dynamodb._remove_item = remove_and_note
    dynamodb.handle_request = write_before_answer


def _write_items(database: sqlite3.Connection, unwritten: list[tuple[str, str, str, str | None]]) -> None:
    """Writes the changes of one call in one transaction, and removes them from the list."""
    changes = unwritten[:]  # a thread of the emulator may add some: items whose time is over
    if not changes:
        return
    with database:
        for *key, item in changes:
            if item is None:
                database.execute(
                    "DELETE FROM items WHERE table_name = ? AND partition_key = ? AND sort_key = ?", key
                )
            else:
                database.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", (*key, item))
    del unwritten[: len(changes)]


def _keep_messages(folder: Path) -> None:
    from ministack.services import sqs

    database = _connect(folder)
    create = sqs._HANDLERS["CreateQueue"]
    created: dict[str, dict[str, Any]] = {}
    written: dict[str, list[str]] = {}

    def create_with_messages(data: dict[str, Any], url: str) -> Any:
        answer = create(data, url)
        queue = sqs._queues[answer["QueueUrl"]]
        if queue["name"] not in created:
            row = database.execute(
                "SELECT messages FROM messages WHERE queue = ?", (queue["name"],)
            ).fetchone()
            for message in json.loads(row[0]) if row else ():
                sqs._act_send_message(
                    {
                        "QueueUrl": queue["url"],
                        "MessageBody": message["body"],
                        "MessageAttributes": message["message_attributes"],
                    },
                    "",
                )
                queue["messages"][-1] |= message
            created[queue["name"]] = queue
        return answer

    def write_repeatedly() -> None:
        database = _connect(folder)
        while True:
            time.sleep(_WRITE_INTERVAL)
            for name, queue in list(created.items()):
                messages = list(queue["messages"])
                ids = [message["id"] for message in messages]
                if written.get(name) == ids:
                    continue
                kept = [
                    {key: message[key] for key in ("body", "message_attributes", "sys", "sent_at")}
                    for message in messages
                ]
                try:
                    with database:
                        row = (name, json.dumps(kept))
                        database.execute("INSERT OR REPLACE INTO messages VALUES (?, ?)", row)
                    written[name] = ids
                except sqlite3.Error as error:
                    _log(f"The messages of {name} cannot be kept in {folder}: {error}")

    sqs._HANDLERS["CreateQueue"] = create_with_messages
    threading.Thread(target=write_repeatedly, daemon=True).start()


def _log(message: str) -> None:
    with contextlib.suppress(OSError):  # the log may be on a full disk too
        print(message, file=sys.stderr, flush=True)
