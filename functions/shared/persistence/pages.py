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

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel", omit_defaults=True):
    """One page of a list, and the token of the next page (absent at the end)."""

    items: list[T]
    next_token: str | None = None


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    list: str
    key: dict[str, str]


def encode_token(list_name: str, last_key: Item | None) -> str | None:
    """Returns the token that continues `list_name` after `last_key` (DynamoDB's LastEvaluatedKey).

    It is opaque, not secret: it contains keys that the client has just received.
    """
    if not last_key:
        return None
    raw = msgspec.json.encode(_Token(list_name, from_item(last_key)))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_token(
    list_name: str, key_names: frozenset[str], token: str | None, **fixed: str
) -> dict[str, Any]:
    """Returns the ExclusiveStartKey parameter of a token; empty without a token.

    `fixed` are keys with one value throughout the list. Raises `InvalidPageToken` if the list cannot have
    issued it: it is malformed, of another list or user, or has other keys than the list.
    """
    if token is None:
        return {}
    try:
        raw = base64.b64decode(
            token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        decoded: _Token | None = decode_json(raw, _Token)
    except (binascii.Error, UnicodeError, MalformedJson):
        decoded = None
    if (
        decoded is None
        or decoded.list != list_name
        or decoded.key.keys() != key_names
        or not fixed.items() <= decoded.key.items()
        or not all(_KEY_VALUE.fullmatch(value) for value in decoded.key.values())
    ):
        raise InvalidPageToken("this list did not hand out the nextToken")
    return {"ExclusiveStartKey": to_item(decoded.key)}
