"""No rule raises for a value that is unknown, absent or empty, in any place of a stack.

A rule that raises is an error to the engine: it stops a good preview and hides the findings of the rule. An
absent text may arrive as "" if the provider returns it so.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from pulumi_policy import ResourceValidationPolicy

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


def findings_with_each(value: object) -> Iterator[tuple[str, list[Violation]]]:
    """Yields the findings in the recorded stack while each value in turn is replaced by this one."""
    run = recording("prod", everything=True)
    config, stack = config_of(run), recorded(run)
    plain = [{**item.inputs, **item.outputs} for item in run.resources] + [dict(run.outputs.values)]
    for item, props in zip(stack, plain, strict=True):
        before, references = item.props, item.property_dependencies
        for key, whole in props.items():
            if value is not UNKNOWN:  # an unknown value keeps its references
                item.property_dependencies = {name: to for name, to in references.items() if name != key}
            for changed in with_one_changed(whole, value):
                item.props = resource(item.resource_type, item.name, {**props, key: changed}).props
                found = evaluate(OF_RESOURCES, [item], config) + evaluate(OF_STACKS, stack, config)
                yield f"{item.resource_type} {item.name}: {key}", found
        item.props, item.property_dependencies = before, references


@pytest.mark.parametrize("value", [None, ""])
def test_no_rule_raises_for_an_absent_property(value: object) -> None:
    findings = dict(findings_with_each(value))
    assert findings["aws:sqs/queue:Queue orders: redrivePolicy"] != []


def test_no_rule_reports_an_unknown_value() -> None:
    findings = list(findings_with_each(UNKNOWN))
    assert [finding for finding in findings if finding[1]] == []
