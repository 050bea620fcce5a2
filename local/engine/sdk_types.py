"""Finds the SDK's classes for a resource type token such as "aws:sqs/queue:Queue"."""

import functools
import importlib
from typing import Any

import pulumi_aws  # noqa: F401  registers its modules
from pulumi.runtime import rpc


@functools.cache
def resource_class(token: str) -> Any | None:
    """Returns the resource class of a token, or None if the SDK has none (as for components)."""
    package, _, rest = token.partition(":")
    module = rpc.get_resource_module(package, rest.partition(":")[0], "")
    info = getattr(module, "mod_info", None)
    if info is None or token not in info["classes"]:
        return None
    return getattr(importlib.import_module(info["fqn"]), info["classes"][token])


@functools.cache
def arguments_class(token: str) -> Any | None:
    """Returns the `...Args` class of a token, which has a typed property for each input, or None."""
    found = resource_class(token)
    if found is None:
        return None
    return getattr(importlib.import_module(found.__module__), f"{found.__name__}Args", None)
