"""Optional: AWS WAF in front of the API."""

from typing import Final

import pulumi
import pulumi_aws as aws

from components.rest_api import RestApi

# AWS's managed rule groups in their order, with the rules that only count.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
_RULE_GROUPS: Final = {
    "AWSManagedRulesAmazonIpReputationList": (),
    "AWSManagedRulesKnownBadInputsRuleSet": (),
    # The functions limit the body themselves (413). A long description in an Asian script exceeds this rule's
    # 8 KB. Clients are programs, and may have no User-Agent.
    "AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY", "NoUserAgent_HEADER"),
}

# Sampled requests include all headers, and one is the key.
_PROTECTED_HEADERS: Final = ("x-api-key",)


class Firewall(pulumi.ComponentResource):
    """Filters the requests to the API's stage by AWS's managed rules.

    API Gateway answers a blocked request with a problem document and status 403 (WAF_FILTERED).
    """

    def __init__(self, name: str, *, api: RestApi, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("orderflow:api:Firewall", name, None, opts)
        acl = aws.wafv2.WebAcl(
            name,
            scope="REGIONAL",
            description="Managed rules of AWS in front of the API",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            rules=[
                _managed(group, priority, counted)
                for priority, (group, counted) in enumerate(_RULE_GROUPS.items())
            ],
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True,
                metric_name=f"{pulumi.get_project()}-{pulumi.get_stack()}-{name}",
                sampled_requests_enabled=True,
            ),
            data_protection_config=aws.wafv2.WebAclDataProtectionConfigArgs(
                data_protections=[
                    aws.wafv2.WebAclDataProtectionConfigDataProtectionArgs(
                        action="SUBSTITUTION",
                        field=aws.wafv2.WebAclDataProtectionConfigDataProtectionFieldArgs(
                            field_type="SINGLE_HEADER", field_keys=list(_PROTECTED_HEADERS)
                        ),
                    )
                ]
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.wafv2.WebAclAssociation(
            name,
            resource_arn=api.stage_arn,
            web_acl_arn=acl.arn,
            # A stage has one web ACL. Created first, the new association would be removed again with the old
            # one: https://github.com/pulumi/pulumi-aws/issues/4782
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.register_outputs({})


# In quotes: its module takes a third of a second to import, and most stacks have no firewall.
def _managed(group: str, priority: int, counted: tuple[str, ...]) -> "aws.wafv2.WebAclRuleArgs":
    """Returns one of AWS's rule groups. Its rules in `counted` only count."""
    return aws.wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=aws.wafv2.WebAclRuleOverrideActionArgs(
            none=aws.wafv2.WebAclRuleOverrideActionNoneArgs()  # type: ignore[no-untyped-call]  # the SDK's
        ),
        statement=aws.wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(
                        name=rule,
                        action_to_use=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs(
                            count=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs()
                        ),
                    )
                    for rule in counted
                ],
            )
        ),
        visibility_config=aws.wafv2.WebAclRuleVisibilityConfigArgs(
            cloudwatch_metrics_enabled=True, metric_name=group, sampled_requests_enabled=True
        ),
    )
