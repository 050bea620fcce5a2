"""A user who places orders, and the fields that a client may set."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# One @ with characters on both sides: only a mail can verify an address. 254 is the longest address in SMTP
# (RFC 5321, section 4.5.3.1.3). Spaces and controls are listed one by one, because `\s` differs between the
# languages that read the contract.
Email = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=254,
        pattern=r"^[^@\x00-\x20\x7f]+@[^@\x00-\x20\x7f]+(?!\n)$",
        description="an e-mail address",
    ),
]


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

    name: Name
    email: Email


class UserPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The fields of a user that a client may change. An unset field stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
