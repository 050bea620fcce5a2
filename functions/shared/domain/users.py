"""A user who places orders: its data, and what a client may set."""

from __future__ import annotations

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# Deliberately loose: one @ with something on both sides. Whether mail arrives only a mail can tell. 254 is
# the longest address that SMTP can carry (RFC 5321, section 4.5.3.1.3). Spaces and controls are listed one by
# one, for `\s` means something else in every language that reads the contract.
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
    """A user as it is stored."""

    user_id: str
    name: str
    email: str
    version: int
    created_at: str
    updated_at: str


class NewUser(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A user as a client registers it."""

    name: Name
    email: Email


class UserPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The fields of a user that a client may change; what is unset stays as it is."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
