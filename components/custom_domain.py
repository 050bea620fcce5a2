"""A name of one's own for the API, with its certificate and its record in Route 53."""

import pulumi
import pulumi_aws as aws

from components.rest_api import RestApi
from components.settings.custom_domain import CustomDomainSettings


class CustomDomain(pulumi.ComponentResource):
    """Serves the API's stage at the root of the name, so that no stage stands in the URLs.

    The certificate must be of the API's region, issued and for this name: AWS checks that. The URL under
    amazonaws.com goes on working.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        api: RestApi,
        settings: CustomDomainSettings,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("orderflow:api:CustomDomain", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        domain = aws.apigateway.DomainName(
            name,
            domain_name=settings.name,
            regional_certificate_arn=settings.certificate_arn,
            security_policy="TLS_1_2",  # the lowest that is accepted
            endpoint_configuration=aws.apigateway.DomainNameEndpointConfigurationArgs(types="REGIONAL"),
            opts=child,
        )
        mapping = aws.apigateway.BasePathMapping(
            name, domain_name=domain.domain_name, rest_api=api.id, stage_name=api.stage_name, opts=child
        )
        record = aws.route53.Record(
            name,
            zone_id=settings.zone_id,
            name=settings.name,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=domain.regional_domain_name,
                    zone_id=domain.regional_zone_id,
                    evaluate_target_health=False,  # there is no second target to turn to
                )
            ],
            opts=child,
        )
        # Whoever is told the URL finds it served.
        self.url = pulumi.Output.all(mapping.id, record.fqdn).apply(lambda _: f"https://{settings.name}")
        self.register_outputs({"url": self.url})
