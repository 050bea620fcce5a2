"""The environment variables of a function, set by the Pulumi program."""

from __future__ import annotations

import os


class MissingEnvironmentVariable(RuntimeError):
    """A variable that the function needs is missing."""


def optional(name: str) -> str | None:
    """Returns the value of an environment variable, or None if it is absent or empty."""
    return os.environ.get(name) or None


def required(name: str) -> str:
    """Returns the value of an environment variable.

    Modules call it at import. So a function with a wrong configuration fails at its start, and not at the
    first order. Raises `MissingEnvironmentVariable` with the name of the variable.
    """
    value = os.environ.get(name, "")
    if not value:
        raise MissingEnvironmentVariable(f"the environment variable {name} is not set")
    return value
