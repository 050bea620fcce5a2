"""The pack in its own process, as the engine runs it: it prints a port and serves gRPC."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc

from local.engine.program import PROJECT_ROOT
from policy.resources import QUEUE, TABLE
from policy.rules import RULES

CONFIG = {"orderflow:deletionProtection": "true"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """A connection to a new pack, as the engine has it."""
    environment = {
        **os.environ,
        "PULUMI_CONFIG": json.dumps(CONFIG),
        "PULUMI_PROJECT": "orderflow",
        "PULUMI_STACK": "prod",
        "PULUMI_DRY_RUN": "true",
    }
    command = [sys.executable, "-u", str(PROJECT_ROOT / "policy"), "127.0.0.1:1", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd="/") as pack:
        assert pack.stdout is not None
        try:
            port = int(pack.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            pack.kill()


def analyze(engine: Any, type_: str, **properties: Any) -> list[Any]:
    values = struct_pb2.Struct()
    values.update({"tags": {"project": "orderflow", "stack": "prod"}, **properties})
    urn = f"urn:pulumi:prod::orderflow::{type_}::sample"
    request = proto.AnalyzeRequest(type=type_, name="sample", urn=urn, properties=values)
    return list(engine.Analyze(request, timeout=20).diagnostics)


def test_the_pack_offers_every_rule_and_all_are_mandatory(engine: Any) -> None:
    info = engine.GetAnalyzerInfo(struct_pb2.Value(), timeout=20)
    assert info.name == "orderflow"
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}
    assert {policy.enforcementLevel for policy in info.policies} == {proto.MANDATORY}


def test_a_broken_resource_is_refused_and_a_good_one_passes(engine: Any) -> None:
    (found,) = analyze(engine, QUEUE, sqsManagedSseEnabled=False)
    assert (found.policyName, found.enforcementLevel) == ("encrypted-at-rest", proto.MANDATORY)
    assert "sample is not encrypted" in found.message
    assert analyze(engine, QUEUE, sqsManagedSseEnabled=True) == []


def test_the_pack_reads_the_configuration_of_the_stack(engine: Any) -> None:
    (found,) = analyze(engine, TABLE)
    assert found.policyName == "tables-are-protected-as-configured"
    assert analyze(engine, TABLE, deletionProtectionEnabled=True) == []
