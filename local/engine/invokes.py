"""The provider functions that a program may call: account, region, partition, a quota, policy documents."""

import json
from collections.abc import Mapping
from typing import Any


def answer_invoke(token: str, args: Mapping[str, Any], *, account_id: str, region: str) -> dict[str, Any]:
    """Returns a provider function's result under its camelCase names. Raises LookupError if unsupported."""
    match token:
        case "aws:index/getCallerIdentity:getCallerIdentity":
            arn = f"arn:aws:iam::{account_id}:root"
            return {"id": account_id, "accountId": account_id, "userId": account_id, "arn": arn}
        case "aws:index/getRegion:getRegion":
            return {
                "id": region,
                "name": region,
                "region": region,
                "description": region,
                "endpoint": f"ec2.{region}.amazonaws.com",
            }
        case "aws:index/getPartition:getPartition":
            return {
                "id": "aws",
                "partition": "aws",
                "dnsSuffix": "amazonaws.com",
                "reverseDnsPrefix": "com.amazonaws",
            }
        case "aws:iam/getPolicyDocument:getPolicyDocument":
            document = json.dumps(_policy_document(args))
            return {**args, "id": "policy", "json": document, "minifiedJson": document}
        case "aws:servicequotas/getServiceQuota:getServiceQuota":
            # The default of the only quota that is read here, concurrent executions of Lambda.
            return {**args, "id": "quota", "value": 1000.0, "defaultValue": 1000.0}
    raise LookupError("the embedded AWS does not support this provider function")


def _policy_document(args: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(args) - {"statements", "version", "policyId"}
    if unknown:
        raise LookupError(f"the argument `{min(unknown)}` of a policy document is not supported")
    document: dict[str, Any] = {
        "Version": args.get("version", "2012-10-17"),
        "Statement": [_statement(statement) for statement in args.get("statements") or []],
    }
    return document | ({"Id": args["policyId"]} if args.get("policyId") else {})


def _statement(source: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": source.get("effect", "Allow")}
    if source.get("sid"):
        statement["Sid"] = source["sid"]
    for key, name in (("actions", "Action"), ("resources", "Resource")):
        if source.get(key):
            statement[name] = _one_or_many(source[key])
        if source.get(f"not{key.capitalize()}"):
            statement[f"Not{name}"] = _one_or_many(source[f"not{key.capitalize()}"])
    if source.get("principals"):
        statement["Principal"] = {
            principal["type"]: _one_or_many(principal["identifiers"]) for principal in source["principals"]
        }
    for condition in source.get("conditions") or []:
        tests = statement.setdefault("Condition", {}).setdefault(condition["test"], {})
        tests[condition["variable"]] = _one_or_many(condition["values"])
    return statement


def _one_or_many(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else sorted(values)
