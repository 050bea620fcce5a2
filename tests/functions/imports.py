"""Imports a handler again, for the tests of its environment."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec
from typing import Any


def import_again(name: str) -> Any:
    """Returns a second module of this name, made in the present environment."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
