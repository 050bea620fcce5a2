"""Checks the parameters of AWS calls against the rules of AWS's models that botocore does not check.

botocore checks names, types and minimum lengths before it sends a call. Patterns, maximum lengths and enums
are in the same models, but only AWS checks them; the emulator does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from botocore.model import OperationModel, Shape

# Java's character classes in the models' patterns -> Python's.
_CLASSES = (
    (r"\p{L}", r"a-zA-Z\u00aa-\uffff"),
    (r"\p{Z}", r"\s"),
    (r"\p{N}", r"\d"),
    (r"\p{Alnum}", "a-zA-Z0-9"),
    (r"\p{Graph}", r"\x21-\x7e"),
    (r"\P{C}", r"\x20-\U0010ffff"),
)


def check_parameters(model: OperationModel, parameters: dict[str, Any]) -> list[str]:
    """Returns a message for each parameter that AWS would refuse: its name, the value and the rule."""
    return [] if model.input_shape is None else list(_check(model.input_shape, parameters, ""))


def _check(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, member in value.items():
            if name in shape.members:
                yield from _check(shape.members[name], member, f"{path}.{name}" if path else name)
    elif shape.type_name == "list" and isinstance(value, (list, tuple)):
        yield from _check_size(shape, len(value), "items", path)
        for number, member in enumerate(value):
            yield from _check(shape.member, member, f"{path}[{number}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _check_size(shape, len(value), "entries", path)
        for key, member in value.items():
            yield from _check(shape.key, key, f"{path} (key)")
            yield from _check(shape.value, member, f"{path}.{key}")
    elif isinstance(value, str):
        yield from _check_text(shape, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _check_number(shape, value, path)


def _check_number(shape: Shape, value: float, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is not None and value > most:
        yield f"{path}: {value} is too high, at most {most} is allowed"


def _check_size(shape: Shape, size: int, noun: str, path: str) -> Iterator[str]:
    most = shape.metadata.get("max")
    if most is not None and size > most:
        yield f"{path}: {size} {noun}, at most {most} are allowed"


def _check_text(shape: Shape, value: str, path: str) -> Iterator[str]:
    yield from _check_size(shape, len(value), "characters", path)
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{path}: {value!r} is not allowed, expected one of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(_in_python(pattern), value):
        yield f"{path}: {value!r} does not match the pattern {pattern}"


def _in_python(pattern: str) -> str:
    for java, python in _CLASSES:
        pattern = pattern.replace(java, python)
    return pattern
