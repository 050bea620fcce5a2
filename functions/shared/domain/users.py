"""A user who places orders, and the fields that a client may set."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from functions.shared.domain.texts import EMAIL, Line

Email = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=254,
        pattern=EMAIL,
        description="an e-mail address",
    ),
]


def email_key(email: str) -> str:
    """Returns the key of an address: a hash without regard to case.

    It is not the address itself, because AWS shows keys outside of the table, in traces of API calls.
    """
    return hashlib.sha256(email.lower().encode()).hexdigest()


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A stored user."""

    user_id: str
    name: str
    email: str
    version: int
    created_at: str
    updated_at: str


class NewUser(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A client's request for a user."""

    name: Line
    email: Email


class UserPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The fields of a user that a client may change. An unset field stays."""

    name: Line | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
