"""What a stack can have besides keeps to the rules as well."""

from policy.rules import RULES
from tests.components.recorded import recorded_with
from tests.components.test_custom_domain import HERE
from tests.policy.evaluation import config_of, evaluate, recorded


def test_a_stack_with_every_optional_part_breaks_no_rule() -> None:
    run = recorded_with(
        "prod",
        customDomain=HERE,
        firewall=True,
        accessLogs=True,
        tableBillingMode="PROVISIONED",
        tableReadCapacity=5,
        tableWriteCapacity=5,
    )
    assert evaluate(RULES, recorded(run), config_of(run)) == []
