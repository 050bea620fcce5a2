"""No rule raises for a value that is unknown, absent or empty, in any place of a stack.

A rule that raises is an error to the engine: it stops a good preview and hides the findings of the rule. An
absent text may arrive as "" if the provider returns it so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from pulumi_policy import PolicyResource, ResourceValidationPolicy

from local.engine.program import UNKNOWN
from policy.rules import RULES
from tests.policy.evaluation import Violation, config_of, evaluate, recorded, recording, resource

OF_RESOURCES = [rule for rule in RULES if isinstance(rule, ResourceValidationPolicy)]
OF_STACKS = [rule for rule in RULES if not isinstance(rule, ResourceValidationPolicy)]


def with_one_changed(value: Any, new: object) -> Iterator[Any]:
    """Yields a value replaced as a whole, then with each nested value replaced in turn."""
    yield new
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in held:
        for changed in with_one_changed(inner, new):
            copied = value.copy()
            copied[place] = changed
            yield copied


def shape(value: Any) -> Any:
    """Returns the kinds of a value and of all that is nested in it. A text that is JSON is nested too."""
    if isinstance(value, dict):
        return frozenset((key, shape(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple(map(shape, value))
    try:
        return "JSON", shape(json.loads(value))
    except (TypeError, ValueError):
        return type(value)


class _Watched(PolicyResource):
    """A resource that notes who reads its properties or what they refer to."""

    readers: ClassVar[set[int]] = set()

    @property
    def props(self) -> Any:  # type: ignore[override]
        self.readers.add(id(self))
        return self.__dict__["props"]

    @property
    def property_dependencies(self) -> Any:  # type: ignore[override]
        self.readers.add(id(self))
        return self.__dict__["property_dependencies"]


def read_by_rules(stack: Sequence[PolicyResource], config: Mapping[str, str]) -> dict[str, set[int]]:
    """Returns the resources, by `id`, whose values each rule for stacks reads in this stack.

    Up to its first look at a resource a rule does not depend on the values of that resource. So no value of
    a resource that it does not read here can change what it does.
    """
    read = {}
    for item in stack:
        item.__class__ = _Watched
    for rule in OF_STACKS:
        _Watched.readers = set()
        assert evaluate([rule], stack, config) == []
        read[rule.name] = _Watched.readers
    for item in stack:
        item.__class__ = PolicyResource
    return read


def findings_with_each(value: object) -> Iterator[tuple[str, list[Violation]]]:
    """Yields the findings in the recorded stack while each value in turn is replaced by this one.

    Rules for stacks run if they read the resource. Of resources with the same type, shape and references,
    one is enough.
    """
    run = recording("prod", everything=True)
    config, stack = config_of(run), recorded(run)
    plain = [{**item.inputs, **item.outputs} for item in run.resources] + [dict(run.outputs.values)]
    read = read_by_rules(stack, config)
    seen = set()
    for item, props in zip(stack, plain, strict=True):
        referred = {
            key: tuple(to.resource_type for to in found) for key, found in item.property_dependencies.items()
        }
        kind = item.resource_type, shape(props), frozenset(referred.items())
        if kind in seen:
            continue
        seen.add(kind)
        of_stacks = [rule for rule in OF_STACKS if id(item) in read[rule.name]]
        before, references = item.props, item.property_dependencies
        for key, whole in props.items():
            if value is not UNKNOWN:  # an unknown value keeps its references
                item.property_dependencies = {name: to for name, to in references.items() if name != key}
            for changed in with_one_changed(whole, value):
                item.props = resource(item.resource_type, item.name, {**props, key: changed}).props
                found = evaluate(OF_RESOURCES, [item], config) + evaluate(of_stacks, stack, config)
                yield f"{item.resource_type} {item.name}: {key}", found
        item.props, item.property_dependencies = before, references


@pytest.mark.parametrize("value", [None, ""])
def test_no_rule_raises_for_an_absent_property(value: object) -> None:
    findings = dict(findings_with_each(value))
    assert findings["aws:sqs/queue:Queue orders: redrivePolicy"] != []


def test_no_rule_reports_an_unknown_value() -> None:
    findings = list(findings_with_each(UNKNOWN))
    assert [finding for finding in findings if finding[1]] == []
