"""Reads the settings of a stack from a configuration with a few changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from components.packaging import PROJECT_ROOT, function_names
from components.settings.loader import SettingsError
from components.settings.stack import StackSettings
from local.engine.stack_config import load_stack_config
from local.engine.stacks import configuration


class Config:
    """A stack's configuration as `pulumi.Config` returns it: text, with objects as JSON in sorted order."""

    def __init__(self, stack: str, changes: Mapping[str, Any] | None = None) -> None:
        values = load_stack_config(PROJECT_ROOT, stack, configuration(stack)).values
        self.values = {
            key.removeprefix("orderflow:"): value
            for key, value in values.items()
            if key.startswith("orderflow:")
        }
        for key, value in (changes or {}).items():
            self.values[key] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    def get(self, key: str) -> str | None:
        return self.values.get(key)


def read(stack: str = "dev", *, region: str | None = None, **changes: Any) -> StackSettings:
    """Returns the settings of a stack with `changes` to its configuration."""
    return StackSettings.read(Config(stack, changes), functions=function_names(), region=region)


def mistake(*, region: str | None = None, **changes: Any) -> str:
    """Returns the message for a configuration that is not allowed."""
    with pytest.raises(SettingsError) as error:
        read(region=region, **changes)
    return str(error.value)
