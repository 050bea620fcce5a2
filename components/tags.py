"""Tags on everything that can carry them, set in one place so that no resource is forgotten."""

from collections.abc import Mapping
from typing import Any

import pulumi


def tag_everything(tags: Mapping[str, str]) -> None:
    """Give `tags` to every resource declared from now on that takes tags; a resource's own tags win."""

    def add_tags(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # The SDK lists a `tags` property, set or not, exactly for the resources that take tags.
        if "tags" not in args.props:
            return None
        own: Any = args.props["tags"]
        return pulumi.ResourceTransformationResult({**args.props, "tags": {**tags, **(own or {})}}, args.opts)

    pulumi.runtime.register_stack_transformation(add_tags)
