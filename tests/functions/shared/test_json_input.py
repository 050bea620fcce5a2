"""Every kind of malformed JSON raises the same error."""

from __future__ import annotations

from typing import Any

import pytest

from functions.shared.json_input import MalformedJson, decode_json
from functions.shared.order_queue import OrderMessage

NESTED = 100_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        "",
        b"{",
        b"nope",
        b'{"a": "\xdf"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * NESTED,
        "[" * NESTED + "]" * NESTED,
        b'{"a":' * NESTED,
        '"\ud800"',
        b'{"a": 1} trailing',
        b'{"a": NaN}',
    ],
)
def test_invalid_json_is_malformed(raw: bytes | str) -> None:
    with pytest.raises(MalformedJson):
        decode_json(raw, Any)


@pytest.mark.parametrize("raw", [b"[]", b"7", b'{"orderId": "o-1"}', b'{"orderId": 1, "attempt": 1}'])
def test_json_of_another_type_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        decode_json(raw, OrderMessage)


@pytest.mark.parametrize("raw", ['\ufeff{"a": 1}', '\ufeff{"a": 1}'.encode(), b'{"a": 1}'])
def test_a_byte_order_mark_is_ignored(raw: bytes | str) -> None:
    assert decode_json(raw, dict[str, int]) == {"a": 1}
