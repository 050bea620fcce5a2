"""The Lambda layer with the third-party packages of all functions."""

import os

import pulumi
import pulumi_aws as aws

from components import packaging


class DependencyLayer(pulumi.ComponentResource):
    """Publishes the packages of functions/requirements.txt, as a new version when the contents change."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("orderflow:compute:DependencyLayer", name, None, opts)
        try:
            folder = packaging.layer_folder()
        except packaging.PackagingError as error:
            raise pulumi.RunError(str(error)) from error
        if packaging.compiler() is None:
            pulumi.log.info(
                f"{packaging.RUNTIME} is not on PATH: functions and layer are packaged without bytecode, and "
                "start slower. Those that another machine packaged with it are shown as changed.",
                self,
            )
        version = aws.lambda_.LayerVersion(
            name,
            layer_name=f"{pulumi.get_project()}-{pulumi.get_stack()}-{name}",
            description="Third-party packages of all functions (functions/requirements.txt)",
            code=pulumi.FileArchive(os.path.relpath(folder, packaging.PROJECT_ROOT)),
            compatible_architectures=[packaging.ARCHITECTURE],
            compatible_runtimes=[packaging.RUNTIME],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = version.arn
        self.register_outputs({"arn": self.arn})
