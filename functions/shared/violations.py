"""The fields of a body: trims its texts, and describes its mistakes, one per field.

msgspec checks bodies fast and stops at the first mistake. Only a body that it refused is checked here,
against the same types.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import inspect

from functions.shared.domain.texts import EMAIL, FILLED_LINES, LINE, LINES

# A body of 64 KB can have thousands of mistakes, and names of any length.
_MOST = 20
MAX_PATH = 200


class FieldError(msgspec.Struct, frozen=True):
    """A mistake in one field: its path in the JSON, and the expected value."""

    field: str
    message: str


def violations(value: object, kind: type[msgspec.Struct]) -> list[FieldError]:
    """Returns up to 20 mistakes of a decoded body that is no `kind`, in the order of its fields."""
    found = (FieldError(path[:MAX_PATH] or "body", message) for path, message in _look(value, kind, ""))
    return list(islice(found, _MOST))


def strip_texts(body: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Removes white space around the texts of a decoded body: its fields of a type in `domain/texts.py`.

    Also in objects and lists of the body. A dictionary keeps what the client wrote: nothing interprets it.
    """
    for name in body.keys() & _field_types(kind).keys():
        expected = _type_with_texts(kind, name)
        if expected is not None:
            body[name] = _stripped(body[name], expected)


@cache
def _field_types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


@cache
def _type_with_texts(kind: type[msgspec.Struct], name: str) -> inspect.Type | None:
    """Returns the type of a field if it has texts, or None.

    Only fields of a body are inspected: inspecting all of them is a tenth of a first call.
    """
    expected = _only(inspect.type_info(_field_types(kind)[name]))
    return expected if _has_texts(expected) else None


def _has_texts(expected: inspect.Type) -> bool:
    if isinstance(expected, inspect.StructType):
        return any(_has_texts(_only(field.type)) for field in expected.fields)
    if isinstance(expected, inspect.ListType):
        return _has_texts(_only(expected.item_type))
    return isinstance(expected, inspect.StrType) and expected.pattern in {EMAIL, FILLED_LINES, LINE, LINES}


def _stripped(value: Any, expected: inspect.Type) -> Any:
    if isinstance(value, str) and isinstance(expected, inspect.StrType):
        return value.strip()
    if isinstance(value, dict) and isinstance(expected, inspect.StructType):
        strip_texts(value, expected.cls)
    elif isinstance(value, list) and isinstance(expected, inspect.ListType):
        return [_stripped(element, _only(expected.item_type)) for element in value]
    return value


def _only(expected: inspect.Type) -> inspect.Type:
    """Returns a type without its annotations, and without null or unset beside it."""
    if isinstance(expected, inspect.Metadata):
        return _only(expected.type)
    if isinstance(expected, inspect.UnionType):
        return next(_only(one) for one in expected.types if not isinstance(one, inspect.NoneType))
    return expected


def _look(value: object, kind: Any, path: str) -> Iterator[tuple[str, str]]:
    present = _present(kind)
    expected = inspect.type_info(present)
    if isinstance(expected, inspect.StructType) and isinstance(value, dict):
        yield from _look_into(value, expected.cls, f"{path}." if path else "")
    elif isinstance(expected, inspect.ListType) and isinstance(value, list) and _fits_length(value, expected):
        for index, element in enumerate(value):
            yield from _look(element, _parts_of(present)[0], f"{path}[{index}]")
    elif isinstance(expected, inspect.DictType) and isinstance(value, dict) and _fits_length(value, expected):
        key_kind, value_kind = _parts_of(present)
        for key, element in value.items():
            if not _fits(key, key_kind):
                yield path, f"expected keys that are {_words(inspect.type_info(key_kind))}"
            yield from _look(element, value_kind, f"{path}.{key}")
    elif not _fits(value, kind):
        yield path, f"expected {_words(inspect.type_info(kind))}"


def _look_into(
    value: dict[str, object], kind: type[msgspec.Struct], prefix: str
) -> Iterator[tuple[str, str]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name in value:
            yield from _look(value[name], field.type, f"{prefix}{name}")
        elif field.required:
            yield f"{prefix}{name}", f"missing: expected {_words(inspect.type_info(field.type))}"
    for name in value:
        if name not in fields:
            yield f"{prefix}{name}", f"unknown: expected nothing but {', '.join(fields)}"


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _fits_length(value: list[Any] | dict[str, Any], expected: inspect.ListType | inspect.DictType) -> bool:
    return (expected.min_length or 0) <= len(value) <= (expected.max_length or len(value))


def _parts_of(kind: Any) -> tuple[Any, ...]:
    """Returns the types in `list[T]` or `dict[K, V]`, also if it is annotated."""
    return get_args(get_args(kind)[0] if get_origin(kind) is Annotated else kind)


def _present(kind: Any) -> Any:
    """Returns the type of an optional value that is there: T of `T | None`."""
    if get_origin(kind) in (Union, UnionType):
        return next(one for one in get_args(kind) if one not in (NoneType, msgspec.UnsetType))
    return kind


def words(kind: Any) -> str:
    """Returns a type in words, for an error."""
    return _words(inspect.type_info(kind))


def _words(expected: inspect.Type) -> str:
    """Returns a type in words: `a whole number from 1 to 1000`."""
    if isinstance(expected, inspect.Metadata):
        return _bounded((expected.extra_json_schema or {})["description"], expected.type)
    if isinstance(expected, inspect.UnionType):
        return " or ".join(_words(one) for one in expected.types)
    if isinstance(expected, inspect.EnumType):
        return f"one of {', '.join(expected.cls)}"
    if isinstance(expected, inspect.StructType):
        return f"an object with {', '.join(field.encode_name for field in expected.fields)}"
    return _bounded(_PLAIN[type(expected)], expected)


_PLAIN: dict[type[inspect.Type], str] = {
    inspect.StrType: "a text",
    inspect.IntType: "a whole number",
    inspect.BoolType: "true or false",
    inspect.DateType: "a day such as 2026-01-31",
    inspect.ListType: "a list",
    inspect.DictType: "an object",
    inspect.NoneType: "null",
}


def _bounded(noun: str, expected: inspect.Type) -> str:
    if isinstance(expected, inspect.IntType):
        return f"{noun} from {expected.ge} to {expected.le}"
    if (
        isinstance(expected, inspect.StrType | inspect.ListType | inspect.DictType)
        and expected.max_length is not None
    ):
        unit = "characters" if isinstance(expected, inspect.StrType) else "elements"
        if expected.min_length is None:
            return f"{noun} of at most {expected.max_length} {unit}"
        return f"{noun} of {expected.min_length} to {expected.max_length} {unit}"
    return noun
