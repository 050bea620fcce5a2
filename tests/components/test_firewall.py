"""The firewall (WAF): its rules, the stage it is attached to, and its samples."""

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
def test_a_stack_has_no_firewall_by_default(stack: str) -> None:
    assert not declare_test_stack(stack).of_type(ACL)


def test_the_firewall_is_attached_to_the_stage_of_the_api(run: ProgramRun) -> None:
    (association,) = run.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    (acl,) = run.of_type(ACL)
    (stage,) = run.of_type("aws:apigateway/stage:Stage")
    assert association.inputs == {"webAclArn": acl.outputs["arn"], "resourceArn": stage.outputs["arn"]}


def test_only_managed_rules_of_aws_block_requests(run: ProgramRun) -> None:
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


def test_rules_on_body_size_and_user_agent_only_count(run: ProgramRun) -> None:
    common = rules(run)["AWSManagedRulesCommonRuleSet"]["statement"]["managedRuleGroupStatement"]
    assert common["ruleActionOverrides"] == [
        {"name": name, "actionToUse": {"count": {}}}
        for name in ("SizeRestrictions_BODY", "NoUserAgent_HEADER")
    ]


def test_requests_are_counted_and_sampled_without_their_key(run: ProgramRun) -> None:
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


def test_the_old_association_is_deleted_before_the_new_one_is_created(run: ProgramRun) -> None:
    """The deletion of the old association would remove the new one.

    https://github.com/pulumi/pulumi-aws/issues/4782
    """
    (association,) = run.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    assert association.delete_before_replace is True


def test_the_inputs_match_the_types_of_the_sdk(run: ProgramRun) -> None:
    assert check_inputs(run.resources) == []
