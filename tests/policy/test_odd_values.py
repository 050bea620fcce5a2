"""No rule breaks down over a value that is unknown, absent or empty, wherever in a stack it stands.

A rule that raises is an error to the engine: it stops a good preview, and hides what the rule had to say.
Absent texts may arrive as "" where the rules are shown what the provider answered.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pulumi_policy import ResourceValidationPolicy

from local.program import UNKNOWN
from policy.rules import RULES
from tests.policy.evaluation import Violation, config_of, evaluate, recorded, recording, resource

OF_RESOURCES = [rule for rule in RULES if isinstance(rule, ResourceValidationPolicy)]
OF_STACKS = [rule for rule in RULES if not isinstance(rule, ResourceValidationPolicy)]


def with_one_changed(props: Mapping[str, Any], value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """The properties, one of them (or one within it) replaced by the value, and the outermost's name."""
    for key, found in props.items():
        yield key, {**props, key: value}
        if isinstance(found, dict):
            yield from ((key, {**props, key: inner}) for _, inner in with_one_changed(found, value))


def findings_with_each(value: object) -> Iterator[tuple[str, list[Violation]]]:
    """What all rules find in the recorded stack while one property after the other has this value."""
    run = recording("prod", everything=True)
    config, stack = config_of(run), recorded(run)
    plain = [{**item.inputs, **item.outputs} for item in run.resources] + [dict(run.outputs.values)]
    for item, props in zip(stack, plain, strict=True):
        before, references = item.props, item.property_dependencies
        for key, changed in with_one_changed(props, value):
            item.props = resource(item.resource_type, item.name, changed).props
            if value is not UNKNOWN:  # what is not known yet still tells where it comes from
                item.property_dependencies = {name: to for name, to in references.items() if name != key}
            found = evaluate(OF_RESOURCES, [item], config) + evaluate(OF_STACKS, stack, config)
            yield f"{item.resource_type} {item.name}: {key}", found
        item.props, item.property_dependencies = before, references


@pytest.mark.parametrize("value", [None, ""])
def test_no_rule_breaks_down_over_an_absent_property(value: object) -> None:
    findings = dict(findings_with_each(value))
    assert findings["aws:sqs/queue:Queue orders: redrivePolicy"] != []


def test_what_is_not_known_yet_is_never_held_against_a_stack() -> None:
    findings = list(findings_with_each(UNKNOWN))
    assert [finding for finding in findings if finding[1]] == []
