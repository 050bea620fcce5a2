"""Optional: SnapStart and provisioned concurrency for functions behind the API (docs/warm_starts.md).

Both are properties of a published version. The API calls it through an alias, whose ARN stays the same.
"""

from typing import Final

import pulumi
import pulumi_aws as aws

from components.function import LambdaFunction
from components.settings.warm_starts import WarmStartSettings

# One for each, because AWS refuses provisioned concurrency on an alias of a version with SnapStart. When a
# function changes from one to the other, the API changes to the new alias before the old one is deleted.
SNAP_START_ALIAS: Final = "snap-start"
PROVISIONED_ALIAS: Final = "provisioned"


def publish_versions(settings: WarmStartSettings, name: str) -> pulumi.ResourceOptions | None:
    """Returns options with which a LambdaFunction publishes each change as a version, or None."""
    if name not in settings.functions:
        return None

    def publish(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != "aws:lambda/function:Function":
            return None
        published: dict[str, object] = {"publish": True}
        if name in settings.snap_start:
            published["snap_start"] = aws.lambda_.FunctionSnapStartArgs(apply_on="PublishedVersions")
        return pulumi.ResourceTransformationResult({**args.props, **published}, args.opts)

    return pulumi.ResourceOptions(transformations=[publish])


def use_alias(settings: WarmStartSettings, function: LambdaFunction) -> None:
    """Lets the API call the newest version of a function that publishes versions.

    Called before the function gets routes.
    """
    if function.name not in settings.functions:
        return
    child = pulumi.ResourceOptions(parent=function)
    alias = aws.lambda_.Alias(
        function.name,
        name=SNAP_START_ALIAS if function.name in settings.snap_start else PROVISIONED_ALIAS,
        description="The version that the API calls",
        function_name=function.physical_name,
        function_version=function.version,
        opts=child,
    )
    function.invoke_arn = alias.invoke_arn
    function.qualifier = alias.name
    amount = settings.provisioned_concurrency.get(function.name)
    if amount is not None:
        aws.lambda_.ProvisionedConcurrencyConfig(
            function.name,
            function_name=function.physical_name,
            qualifier=alias.name,
            provisioned_concurrent_executions=amount,
            opts=child,
        )
