"""A stack with all optional parts on the embedded AWS."""

from __future__ import annotations

import requests

from local.aws.emulator import start_emulator
from local.stack import deploy

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"


def test_every_optional_part_can_be_deployed() -> None:
    with start_emulator(region="us-east-1") as emulator:
        zone = (
            emulator.endpoint.client("route53")
            .create_hosted_zone(Name="example.com", CallerReference="test")["HostedZone"]["Id"]
            .removeprefix("/hostedzone/")
        )
        run = deploy(
            emulator.endpoint,
            config={
                "customDomain": {
                    "name": "api.example.com",
                    "certificateArn": CERTIFICATE,
                    "zoneId": zone,
                },
                "firewall": True,
                "accessLogs": True,
                "tableBillingMode": "PROVISIONED",
                "tableReadCapacity": 5,
                "tableWriteCapacity": 5,
                "pointInTimeRecovery": True,
                "snapStart": ["service_api"],
                "provisionedConcurrency": {"users_api": 1},
            },
        )
        assert run.outputs.values["apiUrl"] == "https://api.example.com"
        apis, firewall = emulator.endpoint.client("apigateway"), emulator.endpoint.client("wafv2")
        (mapping,) = apis.get_base_path_mappings(domainName="api.example.com")["items"]
        assert (mapping["restApiId"], mapping["stage"]) == (run.outputs.values["apiId"], "v1")
        records = emulator.endpoint.client("route53").list_resource_record_sets(HostedZoneId=zone)
        assert "api.example.com." in {record["Name"] for record in records["ResourceRecordSets"]}
        (acl,) = firewall.list_web_acls(Scope="REGIONAL")["WebACLs"]
        assert acl["Name"].startswith("orderflow-orderflow-local-")
        called = {
            item.name: item.inputs["uri"].removesuffix("/invocations").rpartition(":")[2]
            for item in run.of_type("aws:apigateway/integration:Integration")
            if item.inputs["type"] == "AWS_PROXY"
        }
        assert called["orderflow-get"] == "snap-start"
        assert called["orderflow-get-users"] == "provisioned"
        assert called["orderflow-get-orders"].startswith("orderflow-orders_api-")
        health = f"{emulator.endpoint.url}/_aws/execute-api/{run.outputs.values['apiId']}/v1/"
        assert requests.get(health, timeout=30).json()["service"] == "orderflow"
