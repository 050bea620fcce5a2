"""A rule is a generator of what is wrong; here it becomes a policy of Pulumi's."""

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
    """A rule over one resource, checked before it is made. `check` tells what is wrong with it."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for problem in check(args):
            report(f"{args.name} {problem}.", args.urn)

    return ResourceValidationPolicy(name=name, description=description, validate=validate)


def stack_rule(name: str, description: str, check: StackCheck) -> StackValidationPolicy:
    """A rule over all resources together. `check` tells what is wrong with which of them."""

    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        for resource, problem in check(args.resources):
            report(f"{resource.name} {problem}.", resource.urn)

    return StackValidationPolicy(name=name, description=description, validate=validate)
