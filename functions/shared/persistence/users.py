"""Users, and the table of their e-mail addresses: an address belongs to one user at most.

A user and its address change in one transaction. Reading a user needs the table of users only, see `records`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from functions.shared import clock
from functions.shared.domain.errors import (
    AlreadyExists,
    EmailTaken,
    InvalidPageToken,
    NotFound,
    StoreContention,
    VersionMismatch,
)
from functions.shared.domain.preconditions import Precondition
from functions.shared.domain.users import User, email_key
from functions.shared.persistence.dynamodb import (
    UpdateExpression,
    cancellation_reasons,
    raise_if_transient,
    struct_to_item,
    was_refused,
)
from functions.shared.persistence.pages import Page
from functions.shared.persistence.records import users

# Seconds before the next try. Another request's transaction holds a user for milliseconds.
_PAUSES = (0.05, 0.1, 0.2)

Change = Callable[[User | None], User]
"""Returns the new state of a user, from the present one. Raises the error that refuses the change."""


class UserRepository:
    """The users, and their e-mail addresses."""

    def __init__(self, client: Any, users_table: str, emails_table: str) -> None:
        self._client = client
        self._users_table = users_table
        self._emails_table = emails_table
        self.records = users(client, users_table)

    def find_by_email(self, email: str, token: str | None) -> Page[User]:
        """Returns the user with this address, or none, as a page. Raises `InvalidPageToken`."""
        if token is not None:
            raise InvalidPageToken("this list did not hand out the nextToken")
        answer = self._client.get_item(
            TableName=self._emails_table, Key={"emailKey": {"S": email_key(email)}}, ConsistentRead=True
        )
        found = self.records.find(answer["Item"]["userId"]["S"]) if "Item" in answer else None
        # Between the two reads the user may have changed the address.
        is_current = found is not None and email_key(found.email) == email_key(email)
        return Page(items=[found] if found is not None and is_current else [])

    def create(self, user: User) -> User:
        """Stores a new user and returns it, or the one that an earlier try of this request stored.

        Raises `EmailTaken` and `StoreContention`.
        """
        return self._write(user.user_id, lambda present: present or user, is_new=True)[0]

    def put(
        self, user_id: str, fields: Mapping[str, str], *, at: str, condition: Precondition
    ) -> tuple[User, bool]:
        """Creates a user under this id, or replaces its fields. Returns it, and whether it is new.

        Raises `NotFound`, `VersionMismatch`, `AlreadyExists`, `EmailTaken` and `StoreContention`.
        """

        def change(present: User | None) -> User:
            if present is None:
                if condition.must_exist:
                    raise NotFound(f"there is no user {user_id}")
                return msgspec.convert(
                    {"userId": user_id, **fields, "version": 1, "createdAt": at, "updatedAt": at}, User
                )
            if condition.must_be_new:
                raise AlreadyExists(f"there is a user {user_id} already")
            return _changed(present, fields, at, condition.versions)

        return self._write(user_id, change)

    def patch(self, user_id: str, changes: Mapping[str, str], *, at: str, versions: set[int] | None) -> User:
        """Changes exactly these fields. Without a new address this is one write, which reads nothing.

        Raises `NotFound`, `VersionMismatch`, `EmailTaken` and `StoreContention`.
        """
        if "email" not in changes:
            return self.records.patch(user_id, changes, at=at, versions=versions)

        def change(present: User | None) -> User:
            if present is None:
                raise NotFound(f"there is no user {user_id}")
            return _changed(present, changes, at, versions)

        return self._write(user_id, change)[0]

    def delete(self, user_id: str, *, versions: set[int] | None) -> None:
        """Deletes a user, whose address is free then.

        Raises `NotFound`, `VersionMismatch` and `StoreContention`.
        """
        for seconds in _PAUSES:
            present = self.records.get(user_id)
            _check_version(present, versions)
            deletion = UpdateExpression().require_equal("version", present.version).parameters()
            del deletion["UpdateExpression"]
            delete = {"TableName": self._users_table, "Key": {"userId": {"S": user_id}}, **deletion}
            if self._transact({"Delete": delete}, self._release(present)):
                return
            clock.pause(seconds)
        raise StoreContention("other requests change this user")

    def _write(self, user_id: str, change: Change, *, is_new: bool = False) -> tuple[User, bool]:
        """Writes a user on the base of its present version. Returns it, and whether it is new.

        Reads again if another request changed the user meanwhile. A user that `is_new` is read only then.
        """
        for seconds in _PAUSES:
            present = None if is_new else self.records.find(user_id)
            is_new = False
            new = change(present)
            if new is present or self._transact(
                {"Put": self._put(new, present)}, *self._move_address(new, present)
            ):
                return new, present is None
            clock.pause(seconds)
        raise StoreContention("other requests change this user")

    def _transact(self, *actions: dict[str, Any]) -> bool:
        """Writes a user and addresses. Returns False, and changes nothing, if the user changed meanwhile."""
        try:
            self._client.transact_write_items(TransactItems=list(actions))
        except ClientError as error:
            of_user, *of_addresses = cancellation_reasons(error)
            if was_refused(of_user):
                return False
            if any(map(was_refused, of_addresses)):
                raise EmailTaken("another user has this e-mail address") from error
            raise_if_transient([of_user, *of_addresses], error)
            raise
        return True

    def _put(self, new: User, present: User | None) -> dict[str, Any]:
        condition = (
            {"ConditionExpression": "attribute_not_exists(userId)"}
            if present is None
            else {
                "ConditionExpression": "#version = :version",
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":version": {"N": str(present.version)}},
            }
        )
        return {"TableName": self._users_table, "Item": struct_to_item(new), **condition}

    def _move_address(self, new: User, present: User | None) -> list[dict[str, Any]]:
        """Returns the actions that take the new address, and free the present one."""
        if present is not None and email_key(present.email) == email_key(new.email):
            return []
        entry = {"emailKey": {"S": email_key(new.email)}, "userId": {"S": new.user_id}}
        take = {"TableName": self._emails_table, "Item": entry, **_unless_others(new.user_id)}
        return [{"Put": take}, *([] if present is None else [self._release(present)])]

    def _release(self, user: User) -> dict[str, Any]:
        """Returns the action that frees the address of a user."""
        key = {"emailKey": {"S": email_key(user.email)}}
        return {"Delete": {"TableName": self._emails_table, "Key": key, **_unless_others(user.user_id)}}


def _unless_others(user_id: str) -> dict[str, Any]:
    """Returns the condition that an address is free, or belongs to this user."""
    return {
        "ConditionExpression": "attribute_not_exists(emailKey) OR userId = :user",
        "ExpressionAttributeValues": {":user": {"S": user_id}},
    }


def _changed(present: User, fields: Mapping[str, str], at: str, versions: set[int] | None) -> User:
    _check_version(present, versions)
    return msgspec.structs.replace(present, **fields, version=present.version + 1, updated_at=at)


def _check_version(present: User, versions: set[int] | None) -> None:
    if versions is not None and present.version not in versions:
        raise VersionMismatch("the user was changed since the version that If-Match names")
