"""Evaluates the rules in this process, for recorded resources or for small ones of one test."""

import contextvars
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.runtime.config import set_all_config
from pulumi_policy import (
    Policy,
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy

from local.engine.program import UNKNOWN, ProgramRun
from local.engine.stacks import EVERYTHING, declare_test_stack
from policy.resources import STACK
from policy.rules import RULES


@dataclass(frozen=True)
class Violation:
    """One finding: the rule, and the resource's logical name and message."""

    rule: str
    message: str


def rule(name: str) -> Policy:
    """Returns the rule of this name."""
    (found,) = [candidate for candidate in RULES if candidate.name == name]
    return found


def evaluate(
    rules: Iterable[Policy], resources: Sequence[PolicyResource], config: Mapping[str, str] | None = None
) -> list[Violation]:
    """Returns the findings, as the engine runs the rules: each resource alone, then the whole stack."""
    found: list[Violation] = []

    def run() -> None:
        # The engine passes the stack's configuration to the process that serves the rules.
        set_all_config(dict(config or {}), [])
        for policy in rules:
            _evaluate(policy, resources, found)

    contextvars.copy_context().run(run)
    return found


def _evaluate(policy: Policy, resources: Sequence[PolicyResource], found: list[Violation]) -> None:
    def report(message: str, urn: str | None = None) -> None:
        assert urn
        found.append(Violation(policy.name, message))

    if isinstance(policy, StackValidationPolicy):
        policy.validate(StackValidationArgs(list(resources)), report)
    if isinstance(policy, ResourceValidationPolicy):
        for resource in resources:
            args = ResourceValidationArgs(
                resource.resource_type, resource.props, resource.urn, resource.name, resource.opts, None
            )
            try:
                policy.validate(args, report)
            except UnknownValueError:
                # In a preview the engine reports it as an advice. It checks again in the update.
                continue


def resource(
    type_: str,
    name: str = "sample",
    props: Mapping[str, Any] | None = None,
    *,
    refers: Mapping[str, PolicyResource] | None = None,
    protect: bool = False,
    stack: str = "test",
) -> PolicyResource:
    """A resource as the engine shows it to rules. `refers` names the resource behind a property."""
    options = PolicyResourceOptions(protect, [], None, [], PolicyCustomTimeouts(0, 0, 0), [])
    dependencies = {key: [target] for key, target in (refers or {}).items()}
    urn = f"urn:pulumi:{stack}::orderflow::{type_}::{name}"
    return PolicyResource(
        type_,
        unknown_checking_proxy(_sentinels(dict(props or {}))),
        urn,
        name,
        options,
        None,
        None,
        [],
        dependencies,
    )


def recording(stack: str, preview: bool = False, everything: bool = False) -> ProgramRun:
    """Runs the program for a stack as the tests configure it, or with every optional part."""
    return declare_test_stack(stack, preview=preview, **(EVERYTHING if everything else {}))


def recorded(run: ProgramRun) -> list[PolicyResource]:
    """Returns all resources of a recorded run, with the stack and its exports."""
    found = {
        item.urn: resource(
            item.type,
            item.name,
            {**item.inputs, **item.outputs},
            protect=item.protect,
            stack=run.config.stack,
        )
        for item in run.resources
    }
    for item in run.resources:
        found[item.urn].property_dependencies = {
            key: [found[urn] for urn in urns if urn in found]
            for key, urns in item.property_dependencies.items()
        }
    return [*found.values(), resource(STACK, run.config.stack, run.outputs.values)]


def config_of(run: ProgramRun) -> Mapping[str, str]:
    """Returns the configuration of a recorded run, as the engine passes it to rules."""
    return dict(run.config.values)


def _sentinels(value: Any) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, dict):
        return {key: _sentinels(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sentinels(item) for item in value]
    return value
