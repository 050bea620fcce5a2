"""Makes a Pulumi policy of a rule: a generator of the problems that it finds."""

from collections.abc import Callable, Iterator

from pulumi_policy import (
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

ResourceCheck = Callable[[ResourceValidationArgs], Iterator[str]]
StackCheck = Callable[[list[PolicyResource]], Iterator[tuple[PolicyResource, str]]]


def resource_rule(name: str, description: str, check: ResourceCheck) -> ResourceValidationPolicy:
    """Makes a rule for one resource, checked before it is created. `check` yields its problems."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for problem in check(args):
            report(f"{args.name} {problem}.", args.urn)

    return ResourceValidationPolicy(name=name, description=description, validate=validate)


def stack_rule(name: str, description: str, check: StackCheck) -> StackValidationPolicy:
    """Makes a rule for all resources together. `check` yields resources with their problems."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, problem in check(args.resources):
            report(f"{resource.name} {problem}.", resource.urn)

    return StackValidationPolicy(name=name, description=description, validate=validate)
