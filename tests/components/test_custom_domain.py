"""The custom domain of the API: endpoint, mapping, DNS record and exported URL."""

from local.engine.monitored import ALARM
from local.engine.stacks import declare_test_stack
from tests.components.settings.test_custom_domain import DOMAIN


def test_a_stack_has_no_custom_domain_by_default() -> None:
    run = declare_test_stack("prod")
    assert not run.of_type("aws:apigateway/domainName:DomainName")
    assert not run.of_type("aws:route53/record:Record")


def test_the_domain_serves_the_stage_at_its_root_over_tls_1_2_or_later() -> None:
    run = declare_test_stack(customDomain=DOMAIN)
    (domain,) = run.of_type("aws:apigateway/domainName:DomainName")
    assert domain.inputs["domainName"] == "api.example.com"
    assert domain.inputs["regionalCertificateArn"] == DOMAIN["certificateArn"]
    assert domain.inputs["endpointConfiguration"] == {"types": "REGIONAL"}
    assert domain.inputs["securityPolicy"] == "TLS_1_2"
    (mapping,) = run.of_type("aws:apigateway/basePathMapping:BasePathMapping")
    (api,) = run.of_type("aws:apigateway/restApi:RestApi")
    assert mapping.inputs == {"domainName": "api.example.com", "restApi": api.id, "stageName": "v1"}


def test_the_record_points_at_the_regional_endpoint() -> None:
    run = declare_test_stack(customDomain=DOMAIN)
    (domain,) = run.of_type("aws:apigateway/domainName:DomainName")
    (record,) = run.of_type("aws:route53/record:Record")
    assert record.inputs == {
        "zoneId": DOMAIN["zoneId"],
        "name": "api.example.com",
        "type": "A",
        "aliases": [
            {
                "name": domain.outputs["regionalDomainName"],
                "zoneId": domain.outputs["regionalZoneId"],
                "evaluateTargetHealth": False,
            }
        ],
    }


def test_the_exported_url_uses_the_domain() -> None:
    assert declare_test_stack(customDomain=DOMAIN).outputs.values["apiUrl"] == "https://api.example.com"


def test_an_alarm_starts_a_month_before_the_certificate_expires() -> None:
    run = declare_test_stack(customDomain=DOMAIN)
    alarm = run.get(ALARM, "certificate_expires")
    (late, days) = alarm.inputs["metricQueries"]
    assert (late["expression"], alarm.inputs["threshold"]) == ("30 - days", 0)
    assert days["metric"]["namespace"] == "AWS/CertificateManager"
    assert days["metric"]["metricName"] == "DaysToExpiry"
    assert days["metric"]["dimensions"] == {"CertificateArn": DOMAIN["certificateArn"]}
    assert days["metric"]["period"] == 24 * 60 * 60


def test_the_api_can_be_under_a_base_path() -> None:
    run = declare_test_stack(customDomain=DOMAIN | {"basePath": "shop"})
    (mapping,) = run.of_type("aws:apigateway/basePathMapping:BasePathMapping")
    assert mapping.inputs["basePath"] == "shop"
    assert run.outputs.values["apiUrl"] == "https://api.example.com/shop"
