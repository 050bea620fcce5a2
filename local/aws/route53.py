"""Route 53 records. The emulator stores them but resolves no names."""

from typing import Any, Final

from local.aws.core import OWN, Created, Creation, Field, Kind


def _record_set(inputs: Any) -> dict[str, Any]:
    record: dict[str, Any] = {"Name": inputs["name"], "Type": inputs["type"]}
    if inputs.get("records"):
        record["ResourceRecords"] = [{"Value": value} for value in inputs["records"]]
    if inputs.get("ttl") is not None:
        record["TTL"] = inputs["ttl"]
    for alias in inputs.get("aliases") or []:
        record["AliasTarget"] = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zoneId"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    return record


def _create_record(call: Creation) -> Created:
    inputs = call.inputs
    record = _record_set(inputs)
    call.client("route53").change_resource_record_sets(
        HostedZoneId=inputs["zoneId"],
        ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
    )
    return f"{inputs['zoneId']}_{inputs['name']}_{inputs['type']}", {"fqdn": inputs["name"]}


KINDS: Final = (
    Kind(
        resource_type="aws:route53/record:Record",
        inputs={
            "zoneId": OWN,
            "name": OWN,
            "type": OWN,
            "ttl": OWN,
            "records": OWN,
            "aliases": Field(fields={"name": OWN, "zoneId": OWN, "evaluateTargetHealth": OWN}),
        },
        outputs=("fqdn",),
        create=_create_record,
    ),
)
