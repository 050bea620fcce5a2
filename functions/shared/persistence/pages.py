"""Pages of lists, and the opaque `nextToken`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Generic, TypeVar

import msgspec

from functions.shared.domain.errors import InvalidPageToken
from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.persistence.dynamodb import Item, from_item, to_item

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

# Ids and times: keys have no other values. DynamoDB refuses others, some only because of their length.
_KEY_VALUE = re.compile(r"[A-Za-z0-9_:.-]{1,64}")

_REFUSED = "this list did not hand out the nextToken"

T = TypeVar("T")
_T = TypeVar("_T", bound=msgspec.Struct)


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel", omit_defaults=True):
    """One page of a list, and the token of the next page (absent at the end)."""

    items: list[T]
    next_token: str | None = None


class Position(msgspec.Struct, frozen=True):
    """A place in a list that merges partitions by time: the last time shown.

    `shown` has the last id shown of exactly that time, by the partition's number.
    """

    at: str
    shown: dict[int, str]


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    list: str
    key: dict[str, str]


class _PositionToken(msgspec.Struct, forbid_unknown_fields=True):
    list: str
    after: Position


def encode_token(list_name: str, last_key: Item | None) -> str | None:
    """Returns the token that continues `list_name` after `last_key` (DynamoDB's LastEvaluatedKey).

    It is opaque, not secret: it contains keys that the client has just received.
    """
    if not last_key:
        return None
    return _encode(_Token(list_name, from_item(last_key)))


def decode_token(list_name: str, key_name: str, token: str | None) -> dict[str, Any]:
    """Returns the ExclusiveStartKey parameter of a token; empty without a token.

    Raises `InvalidPageToken` if the list cannot have issued it: it is malformed, of another list, or has
    another key than the list.
    """
    if token is None:
        return {}
    decoded = _decode(token, _Token)
    if (
        decoded.list != list_name
        or decoded.key.keys() != {key_name}
        or not all(_KEY_VALUE.fullmatch(value) for value in decoded.key.values())
    ):
        raise InvalidPageToken(_REFUSED)
    return {"ExclusiveStartKey": to_item(decoded.key)}


def encode_position(list_name: str, position: Position | None) -> str | None:
    """Returns the token that continues `list_name` after a position. None: the list ends."""
    return None if position is None else _encode(_PositionToken(list_name, position))


def decode_position(
    list_name: str, token: str | None, partitions: int, first: str, last: str
) -> Position | None:
    """Returns the position of a token; None without a token.

    Raises `InvalidPageToken` if the list cannot have issued it: it is malformed, of another list, or its
    position is outside the list's partitions and times.
    """
    if token is None:
        return None
    decoded = _decode(token, _PositionToken)
    position = decoded.after
    if (
        decoded.list != list_name
        or not first <= position.at <= last
        or not all(_KEY_VALUE.fullmatch(value) for value in (position.at, *position.shown.values()))
        or not all(0 <= number < partitions for number in position.shown)
    ):
        raise InvalidPageToken(_REFUSED)
    return position


def _encode(token: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).rstrip(b"=").decode()


def _decode(token: str, kind: type[_T]) -> _T:
    try:
        raw = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        return decode_json(raw, kind)
    except (binascii.Error, UnicodeError, MalformedJson) as error:
        raise InvalidPageToken(_REFUSED) from error
