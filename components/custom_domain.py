"""Optional: a domain name for the API, with its certificate and its record in Route 53."""

from typing import Final

import pulumi
import pulumi_aws as aws

from components.metrics import Metric
from components.monitoring import Alarm, AlarmCondition, Formula
from components.rest_api import RestApi
from components.settings.custom_domain import CustomDomainSettings

# ACM renews a certificate earlier, if the domain's validation record still exists.
# https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
_RENEWAL_DAYS: Final = 30


class CustomDomain(pulumi.ComponentResource):
    """Serves the API's stage under the domain name. The URL under amazonaws.com still works.

    The certificate must be issued for this name, in the API's region: AWS checks that. `alarms` gets an alarm
    that starts before the certificate expires.
    """

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        api: RestApi,
        settings: CustomDomainSettings,
        alarms: list[Alarm],
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
            name,
            domain_name=domain.domain_name,
            base_path=settings.base_path,
            rest_api=api.id,
            stage_name=api.stage_name,
            opts=child,
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
                    evaluate_target_health=False,  # there is no second target
                )
            ],
            opts=child,
        )
        alarms.append(
            Alarm(
                "certificate_expires",
                f"The certificate of {settings.name} expires in less than {_RENEWAL_DAYS} days.",
                Formula(
                    expression=f"{_RENEWAL_DAYS} - days",
                    label="Days too late",
                    metrics={
                        "days": Metric(
                            namespace="AWS/CertificateManager",
                            name="DaysToExpiry",
                            dimensions={"CertificateArn": settings.certificate_arn},
                            statistic="Minimum",
                        )
                    },
                ),
                AlarmCondition(period=24 * 60 * 60),
            )
        )
        # The URL is known when it is served.
        url = f"https://{settings.name}" + (f"/{settings.base_path}" if settings.base_path else "")
        self.url = pulumi.Output.all(mapping.id, record.fqdn).apply(lambda _: url)
        self.register_outputs({"url": self.url})
