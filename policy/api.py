"""What the API asks of a caller."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Policy, PolicyResource

from policy.exceptions import OPEN_METHODS
from policy.resources import API_METHOD, API_RESOURCE, REST_API, get, linked, of_type
from policy.rule import stack_rule


def methods_require_a_key(stack: list[PolicyResource]) -> Iterator[tuple[PolicyResource, str]]:
    """Only the methods in the table of exceptions, and preflights, are open to a caller without a key."""
    for method in of_type(stack, API_METHOD):
        verb = get(method.props, "httpMethod")
        if verb == "OPTIONS" or get(method.props, "apiKeyRequired") is True:
            continue
        path = _path(method, stack)
        if path is None or (verb, path) not in OPEN_METHODS:
            where = path or "a path that is not in this stack"
            yield method, f"lets everybody {verb} {where} without a key (policy/exceptions.py: OPEN_METHODS)"


def _path(method: PolicyResource, stack: Sequence[PolicyResource]) -> str | None:
    """The path of a method, put together from the declared resources: a preview knows no path otherwise."""
    parts: list[str] = []
    current, key = method, "resourceId"
    while True:
        above = linked(current, key, API_RESOURCE, stack)
        if not above:
            is_root = bool(of_type(current.property_dependencies.get(key, []), REST_API)) or any(
                get(current.props, key) == get(api.props, "rootResourceId")
                for api in of_type(stack, REST_API)
            )
            return "/" + "/".join(reversed(parts)) if is_root else None
        current, key = above[0], "parentId"
        parts.append(str(get(current.props, "pathPart")))


RULES: Final[tuple[Policy, ...]] = (
    stack_rule(
        "methods-require-a-key",
        "Every method of the API requires an API key, but for the documented ones.",
        methods_require_a_key,
    ),
)
