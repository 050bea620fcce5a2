"""What the Pulumi program tells a function through its environment."""

from __future__ import annotations

import os


class MissingEnvironmentVariable(RuntimeError):
    """A function was started without a variable that it needs."""


class InvalidEnvironmentVariable(RuntimeError):
    """A function was started with a variable whose value it cannot work with."""


def optional(name: str) -> str | None:
    """The value of an environment variable, or None when it is absent or empty."""
    return os.environ.get(name) or None


def required(name: str) -> str:
    """The value of an environment variable.

    Called while the module is imported, so that a function with a wrong configuration fails at its start and
    not with the first order. Raises `MissingEnvironmentVariable`, naming the variable.
    """
    value = os.environ.get(name, "")
    if not value:
        raise MissingEnvironmentVariable(f"the environment variable {name} is not set")
    return value
