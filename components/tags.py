"""Tags on every resource that supports them, set in one place."""

from collections.abc import Mapping
from typing import Any

import pulumi


def tag_everything(tags: Mapping[str, str]) -> None:
    """Gives `tags` to every taggable resource declared after this. A resource's own tags take precedence."""

    def add_tags(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # The SDK has a `tags` property, set or not, exactly on taggable resources.
        if "tags" not in args.props:
            return None
        own: Any = args.props["tags"]
        return pulumi.ResourceTransformationResult({**args.props, "tags": {**tags, **(own or {})}}, args.opts)

    pulumi.runtime.register_stack_transformation(add_tags)
