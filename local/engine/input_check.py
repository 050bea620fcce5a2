"""Checks the inputs of recorded resources against the SDK's types, as strictly as the provider.

The SDK accepts mistakes that the provider refuses only during a deployment. Examples: a misspelled key, a
string for a number, a missing input, an unknown enum value, a physical name that is too long.
"""

import enum
import inspect
import types
import typing
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi import _types

from local.engine.program import UNKNOWN, Resource
from local.engine.sdk_types import arguments_class

# AWS's limits that auto-naming could exceed. Source: the services' API references.
_NAME_LIMITS: Final[Mapping[str, int]] = {
    "aws:cloudwatch/eventRule:EventRule": 64,
    "aws:iam/role:Role": 64,
    "aws:iam/rolePolicy:RolePolicy": 128,
    "aws:lambda/function:Function": 64,
    "aws:scheduler/schedule:Schedule": 64,
    "aws:scheduler/scheduleGroup:ScheduleGroup": 64,
    "aws:sfn/stateMachine:StateMachine": 80,
    "aws:sqs/queue:Queue": 80,
}


def check_inputs(resources: Iterable[Resource]) -> list[str]:
    """Returns one sentence per mistake in the inputs."""
    return [mistake for resource in resources if resource.custom for mistake in _check(resource)]


def _check(resource: Resource) -> Iterator[str]:
    label = f"{resource.type} '{resource.name}'"
    arguments = arguments_class(resource.type)
    if arguments is None:
        if resource.type.startswith("aws:"):
            yield f"{label}: the SDK has no such resource type"
        return
    for mistake in _object(resource.inputs, arguments, ""):
        yield f"{label}: {mistake}"
    name = str(resource.inputs.get("name") or resource.physical_name)
    limit = _NAME_LIMITS.get(resource.type)
    if limit and len(name) > limit:
        yield f"{label}: the physical name {name!r} has {len(name)} characters, at most {limit} are allowed"


def _object(value: Mapping[str, Any], declared: Any, path: str) -> Iterator[str]:
    hints = _types._raw_return_hints(declared)
    for key in value:
        if key not in hints:
            yield f"`{path}{key}` is not an input; use one of {', '.join(sorted(hints))}"
    for key, hint in hints.items():
        if key in value:
            yield from _value(value[key], hint, f"{path}{key}")
    names = _types.input_type_py_to_pulumi_names(declared)
    for parameter in inspect.signature(declared.__init__).parameters.values():
        key = names.get(parameter.name, parameter.name)
        if parameter.default is parameter.empty and parameter.name in names and key not in value:
            yield f"`{path}{key}` is required"


def _value(value: Any, hint: Any, path: str) -> Iterator[str]:
    if value is UNKNOWN:
        return
    options = _options(hint)
    if Any in options or not options:
        return
    enums = [option for option in options if isinstance(option, type) and issubclass(option, enum.Enum)]
    if enums and isinstance(value, str):
        allowed = {member.value for option in enums for member in option}
        # An ARN may name a resource of the account, such as a policy.
        if value not in allowed and not value.startswith("arn:"):
            yield f"`{path}` is {value!r}, expected one of {', '.join(sorted(map(str, allowed)))}"
        return
    complaints = []
    for option in options:
        mistakes = list(_against(value, option, path))
        if not mistakes:
            return
        complaints.append(mistakes)
    # The mistakes for the type that fits best.
    yield from min(complaints, key=len)


def _options(hint: Any) -> list[Any]:
    """Returns the types that a plain value may have, without outputs, awaitables, None and TypedDicts."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [option for part in typing.get_args(hint) for option in _options(part)]
    if (
        typing.get_origin(hint) in (Awaitable, pulumi.Output)
        or hint is type(None)
        or typing.is_typeddict(hint)
    ):
        return []
    if isinstance(hint, type) and issubclass(hint, pulumi.Resource):
        return [str]  # its id or name
    return [hint]


def _against(value: Any, option: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(option), typing.get_args(option)
    if isinstance(option, type) and _types.is_input_type(option):
        if isinstance(value, Mapping):
            yield from _object(value, option, f"{path}.")
        else:
            yield f"`{path}` must be an object, but is {value!r}"
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _value(item, arguments[1], f"{path}.{key}")
        else:
            yield f"`{path}` must be a mapping, but is {value!r}"
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from _value(item, arguments[0], f"{path}[{index}]")
        else:
            yield f"`{path}` must be a list, but is {value!r}"
    elif not _is_a(value, option):
        yield f"`{path}` must be of type {getattr(option, '__name__', option)}, but is {value!r}"


def _is_a(value: Any, option: Any) -> bool:
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if option is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, option) if isinstance(option, type) else True
