"""Where an order goes: a postal address and how to reach its recipient.

Personal data: never in a log or event. Only the country is compared with a list. Postal codes and phone
numbers differ too much between countries to refuse one.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from functions.shared.domain.texts import FILLED_LINES, Line
from functions.shared.domain.users import Email

# ISO 3166-1 alpha-2, 249 countries, by their first letter.
COUNTRIES = (
    "A[DEFGILMOQRSTUWXZ]|B[ABDEFGHIJLMNOQRSTVWYZ]|C[ACDFGHIKLMNORUVWXYZ]|D[EJKMOZ]|E[CEGHRST]|F[IJKMOR]|"
    "G[ABDEFGHILMNPQRSTUWY]|H[KMNRTU]|I[DELMNOQRST]|J[EMOP]|K[EGHIMNPRWYZ]|L[ABCIKRSTUVY]|"
    "M[ACDEFGHKLMNOPQRSTUVWXYZ]|N[ACEFGILOPRUZ]|OM|P[AEFGHKLMNRSTWY]|QA|R[EOSUW]|S[ABCDEGHIJKLMNORSTVXYZ]|"
    "T[CDFGHJKLMNORTVWZ]|U[AGMSYZ]|V[ACEGINU]|W[FS]|Y[ET]|Z[AMW]"
)
Country = Annotated[
    str,
    msgspec.Meta(pattern=rf"^(?:{COUNTRIES})(?!\n)$", description="an ISO 3166-1 country code such as DE"),
]
PostalCode = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=16,
        pattern=r"^[0-9A-Za-z](?:[0-9A-Za-z -]*[0-9A-Za-z])?(?!\n)$",
        description="a postal code (letters, digits, spaces and -)",
    ),
]
Phone = Annotated[
    str,
    msgspec.Meta(
        min_length=3,
        max_length=32,
        pattern=r"^\+?[0-9(](?:[0-9 ()./-]*[0-9])?(?!\n)$",
        description="a phone number (digits, spaces and + ( ) . / -)",
    ),
]
Instructions = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=500, pattern=FILLED_LINES, description="a text without control characters"
    ),
]


class Address(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, kw_only=True
):
    """The recipient of an order. `lines` are the street and what else stands above the city."""

    name: Line
    company: Line | None = None
    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=3)]
    postal_code: PostalCode | None = None
    city: Line
    region: Line | None = None
    country: Country
    phone: Phone | None = None
    email: Email | None = None
    instructions: Instructions | None = None
