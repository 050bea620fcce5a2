"""WAF: which rules, on what, and what it may show of a request."""

from typing import Any

import pytest

from local.engine.input_check import check_inputs
from local.engine.program import ProgramRun
from local.engine.stacks import declare_test_stack
from tests.components.recorded import STACKS

ACL = "aws:wafv2/webAcl:WebAcl"


@pytest.fixture(scope="module")
def run() -> ProgramRun:
    return declare_test_stack(firewall=True)


def rules(run: ProgramRun) -> dict[str, Any]:
    (acl,) = run.of_type(ACL)
    return {rule["name"]: rule for rule in acl.inputs["rules"]}


@pytest.mark.parametrize("stack", STACKS)
def test_there_is_none_unless_it_is_asked_for(stack: str) -> None:
    assert not declare_test_stack(stack).of_type(ACL)


def test_it_stands_before_the_stage_of_the_api(run: ProgramRun) -> None:
    (association,) = run.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    (acl,) = run.of_type(ACL)
    (stage,) = run.of_type("aws:apigateway/stage:Stage")
    assert association.inputs == {"webAclArn": acl.outputs["arn"], "resourceArn": stage.outputs["arn"]}


def test_it_lets_through_what_no_managed_rule_of_aws_blocks(run: ProgramRun) -> None:
    (acl,) = run.of_type(ACL)
    assert (acl.inputs["scope"], acl.inputs["defaultAction"]) == ("REGIONAL", {"allow": {}})
    assert set(rules(run)) == {
        "AWSManagedRulesAmazonIpReputationList",
        "AWSManagedRulesCommonRuleSet",
        "AWSManagedRulesKnownBadInputsRuleSet",
    }
    for name, rule in rules(run).items():
        statement = rule["statement"]["managedRuleGroupStatement"]
        assert (statement["vendorName"], statement["name"]) == ("AWS", name)
        assert rule["overrideAction"] == {"none": {}}
    assert len({rule["priority"] for rule in rules(run).values()}) == 3


def test_what_the_functions_decide_better_is_only_counted(run: ProgramRun) -> None:
    common = rules(run)["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    assert common["ruleActionOverrides"] == [
        {"name": name, "actionToUse": {"count": {}}}
        for name in ("SizeRestrictions_BODY", "NoUserAgent_HEADER")
    ]


def test_requests_are_counted_and_sampled_but_never_with_their_key(run: ProgramRun) -> None:
    (acl,) = run.of_type(ACL)
    for shown in (
        acl.inputs["visibilityConfig"],
        *(rule["visibilityConfig"] for rule in rules(run).values()),
    ):
        assert shown["cloudwatchMetricsEnabled"] is True
        assert shown["sampledRequestsEnabled"] is True
    assert acl.inputs["dataProtectionConfig"] == {
        "dataProtections": [
            {"action": "SUBSTITUTION", "field": {"fieldType": "SINGLE_HEADER", "fieldKeys": ["x-api-key"]}}
        ]
    }


def test_a_new_association_does_not_lose_its_web_acl_to_the_old_one(run: ProgramRun) -> None:
    """https://github.com/pulumi/pulumi-aws/issues/4782"""
    (association,) = run.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    assert association.delete_before_replace is True


def test_the_inputs_are_as_the_sdk_declares_them(run: ProgramRun) -> None:
    assert check_inputs(run.resources) == []
