"""Typed access to a stack's raw configuration, with one kind of message for every mistake.

The Pulumi CLI passes every value as text, objects and arrays as JSON. `pulumi config set --path` stores `2.5`
as text, and `true` and `5` as a boolean and a number, so a scalar is accepted in either form.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

Choice = TypeVar("Choice", str, int)

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE)


class SettingsError(pulumi.RunError):
    """A value cannot be used. The message names the key, the value and what to use, without a stack trace."""


class ConfigSource(Protocol):
    """Source of the raw values, such as `pulumi.Config`."""

    def get(self, key: str) -> str | None:
        """Returns the raw text of a value, objects and arrays as JSON, or None if it is not set."""


class Values:
    """Typed access to the configuration. Each method raises SettingsError for a value that is not allowed."""

    def __init__(self, config: ConfigSource) -> None:
        self._config = config
        self._read: set[str] = set()

    @property
    def keys(self) -> frozenset[str]:
        """The keys that were read so far."""
        return frozenset(self._read)

    def text(self, key: str) -> str:
        """Returns the value as it was set."""
        self._read.add(key)
        value = self._config.get(key)
        if value is None:
            raise SettingsError(f"{key}: has no value. Set one, or give it a default in Pulumi.yaml.")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        """Returns a text that matches the whole pattern; `expected` completes "Use ..."."""
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise not_allowed(key, value, expected)
        return value

    def one_of(self, key: str, allowed: Sequence[Choice]) -> Choice:
        """Returns one of the allowed values."""
        text = self.text(key)
        for value in allowed:
            if str(value) == text:
                return value
        raise not_allowed(key, text, f"one of {', '.join(map(str, allowed))}")

    def boolean(self, key: str) -> bool:
        """Returns a value of `true` or `false`."""
        return self.one_of(key, ("true", "false")) == "true"

    def integer(self, key: str, low: int, high: float = math.inf) -> int:
        """Returns a whole number from `low` to `high`."""
        return as_integer(key, self.text(key), low, high)

    def array(self, key: str, *, least: int = 1) -> list[Any]:
        """Returns a list, by default with at least one element."""
        value = self._json(key)
        if not isinstance(value, list) or len(value) < least:
            raise not_allowed(key, value, "a list with at least one element" if least else "a list")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Returns an object, whose members are not checked."""
        value = self._json(key)
        if not isinstance(value, dict):
            raise not_allowed(key, value, "an object")
        return value

    def refuse_unknown(self, given_keys: Iterable[str]) -> None:
        """Raises SettingsError for a key that no setting reads."""
        for key in sorted(set(given_keys) - self._read):
            raise SettingsError(f"{key}: is not a key. Use one of {', '.join(sorted(self._read))}.")

    def _json(self, key: str) -> Any:
        text = self.text(key)
        try:
            return json.loads(text)
        except ValueError:
            return text


def not_allowed(key: str, value: object, expected: str) -> SettingsError:
    """Returns the error for a value that is not allowed; `expected` completes "Use ..."."""
    return SettingsError(f"{key}: {shown(value)} is not allowed. Use {expected}.")


def shown(value: object) -> str:
    """Returns a value as messages show it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text or "an empty text"


def as_text(value: object) -> str | None:
    """Returns a scalar of an object as text, or None for an object, an array or null."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def as_number(value: object) -> float | None:
    """Returns a finite number that is given as a number or as text, or None."""
    text = as_text(value)
    number = float(text) if text is not None and _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def as_integer(key: str, value: object, low: int, high: float = math.inf) -> int:
    """Returns a member of an object as a whole number from `low` to `high`."""
    number = as_number(value)
    if number is None or not number.is_integer() or not low <= number <= high:
        limits = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
        raise not_allowed(key, value, f"a whole number {limits}")
    return int(number)


def with_members(
    key: str, value: object, members: Sequence[str], *, optional: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Returns an object that has exactly these members, and perhaps the optional ones."""
    if isinstance(value, dict) and set(members) <= set(value) <= {*members, *optional}:
        return value
    more = f" and perhaps {', '.join(optional)}" if optional else ""
    raise not_allowed(key, value, f"an object with exactly {', '.join(members)}{more}")


def check_region(key: str, arn: str, region: str | None) -> None:
    """Raises SettingsError for an ARN of another region; without a configured region any is accepted."""
    own = arn.split(":")[3]
    if region and own != region:
        raise not_allowed(key, own, f"an ARN of the stack's region, {region}")


def given_keys(project: str) -> list[str]:
    """Returns the keys of the project that the stack sets, without the project's name.

    The SDK has no public list of them. The Pulumi CLI passes its configuration in the environment; a program
    that embeds Pulumi sets it in `CONFIG`.
    """
    given = {**get_config_env(), **CONFIG.get()}
    return [key.removeprefix(f"{project}:") for key in given if key.startswith(f"{project}:")]
