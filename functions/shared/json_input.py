"""Decodes JSON from outside: requests, page tokens, messages, and the fulfillment system's responses."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")

_BYTE_ORDER_MARK = "\ufeff"


class MalformedJson(ValueError):
    """The text is not JSON, or not of the expected type. The message has the position."""


def decode_json(raw: bytes | str, kind: type[T]) -> T:
    """Returns the document as `kind`, without a byte order mark (RFC 8259, section 8.1).

    Raises `MalformedJson` for every mistake of a sender: syntax, types, an encoding other than UTF-8, and
    nesting that is too deep to decode.
    """
    mark = _BYTE_ORDER_MARK if isinstance(raw, str) else _BYTE_ORDER_MARK.encode()
    try:
        return msgspec.json.decode(raw.removeprefix(mark), type=kind)  # type: ignore[arg-type]
    except RecursionError as error:
        raise MalformedJson("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedJson(str(error)) from error
