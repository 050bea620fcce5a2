"""The configuration: every mistake in it is one sentence that names the key."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from components.packaging import PROJECT_ROOT
from components.settings import FUNCTION_NAMES, SettingsError, StackSettings, UsagePlan, _given_keys
from local.engine.stack_config import load_stack_config
from local.engine.stacks import configuration, declare_test_stack
from tests.components.recorded import FUNCTION, QUEUE


class Config:
    """A stack's configuration as `pulumi.Config` hands it out: text, with objects as JSON."""

    name = "orderflow"

    def __init__(self, stack: str, changes: Mapping[str, Any] | None = None) -> None:
        values = load_stack_config(PROJECT_ROOT, stack, configuration(stack)).values
        self.values = {
            key.removeprefix("orderflow:"): value
            for key, value in values.items()
            if key.startswith("orderflow:")
        }
        for key, value in (changes or {}).items():
            self.values[key] = value if isinstance(value, str) else json.dumps(value)

    def get(self, key: str) -> str | None:
        return self.values.get(key)


def read(stack: str = "dev", **changes: Any) -> StackSettings:
    return StackSettings.read(Config(stack, changes))


def mistake(**changes: Any) -> str:
    with pytest.raises(SettingsError) as error:
        read(**changes)
    return str(error.value)


ORIGINS = (
    'corsOrigins must hold origins like "https://shop.example.com" '
    '(scheme, lower-case host, port if any), or "*" alone,'
)
DOMAIN = {
    "name": "api.example.com",
    "certificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/11111111-2222-3333-4444-555555555555",
    "zoneId": "Z0123456789ABC",
}
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:fulfillment-AbCdEf"
TOO_LONG = (
    "consumerTimeoutSeconds must be at most {} with orderflow:stalledAfterMinutes at {}, but is {}: "
    "a message that fails comes back after six times as long, and until that happened three times "
    "the requeue takes the queue to be behind and waits"
)
TAG_NAME = "must have a name of 1 to 128 letters, digits, spaces and _.:/=+-@ that does not begin with aws:"
TAG_VALUE = (
    "must be a text of up to 256 letters, digits, spaces and _.:/=+-@ that does not begin with aws:, but is"
)
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"logLevel": "LOUD"}, "logLevel must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, but is LOUD"),
    ({"logLevel": "info"}, "logLevel must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, but is info"),
    ({"workflowType": "FAST"}, "workflowType must be one of STANDARD, EXPRESS, but is FAST"),
    ({"workflowLogLevel": "DEBUG"}, "workflowLogLevel must be one of ALL, ERROR, FATAL, OFF, but is DEBUG"),
    (
        {"tableBillingMode": "FREE"},
        "tableBillingMode must be one of PAY_PER_REQUEST, PROVISIONED, but is FREE",
    ),
    ({"stalledAfterMinutes": 5}, "stalledAfterMinutes must be a whole number of 6 or more, but is 5"),
    ({"maxAttempts": 0}, "maxAttempts must be a whole number of 1 or more, but is 0"),
    (
        {"consumerMaxConcurrency": 1},
        "consumerMaxConcurrency must be a whole number from 2 to 1000, but is 1",
    ),
    (
        {"consumerMaxConcurrency": 1001},
        "consumerMaxConcurrency must be a whole number from 2 to 1000, but is 1001",
    ),
    ({"functionMemoryMb": 64}, "functionMemoryMb must be a whole number from 128 to 10240, but is 64"),
    ({"functionMemoryMb": 256.5}, "functionMemoryMb must be a whole number from 128 to 10240, but is 256.5"),
    ({"functionMemoryMb": "much"}, "functionMemoryMb must be a whole number from 128 to 10240, but is much"),
    ({"deletionProtection": "yes"}, "deletionProtection must be one of true, false, but is yes"),
    ({"defaultCurrency": "Euro"}, "defaultCurrency must be an ISO 4217 code such as EUR, but is Euro"),
    (
        {"tableReadCapacity": 5},
        "tableReadCapacity must be 0 when tableBillingMode is PAY_PER_REQUEST, but is 5",
    ),
    (
        {"tableBillingMode": "PROVISIONED", "tableReadCapacity": 5},
        "tableWriteCapacity must be 1 or more when tableBillingMode is PROVISIONED, but is 0",
    ),
    ({"reservedConcurrency": [1]}, "reservedConcurrency must be an object, but is [1]"),
    (
        {"reservedConcurrency": {"orders_apl": 1}},
        "reservedConcurrency names the unknown function orders_apl; the functions are "
        + ", ".join(FUNCTION_NAMES),
    ),
    (
        {"reservedConcurrency": {"orders_api": -1}},
        "reservedConcurrency.orders_api must be a whole number of 1 or more, but is -1",
    ),
    (
        {"reservedConcurrency": {"order_consumer": 9}},
        "reservedConcurrency.order_consumer must be at least orderflow:consumerMaxConcurrency (10), but is 9",
    ),
    ({"usagePlans": {}}, "usagePlans must hold at least one plan, but is empty"),
    (
        {"usagePlans": {"free": {"burst": 5, "rate": 5}}},
        "usagePlans.free must have exactly quotaPerDay, burst, rate, but has burst, rate",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 5, "burst": 5, "rate": 5, "size": 1}}},
        "usagePlans.free must have exactly quotaPerDay, burst, rate, but has quotaPerDay, burst, rate, size",
    ),
    (
        {"usagePlans": {"free": {"quotaPerWeek": 5, "burst": 5, "rate": 5}}},
        "usagePlans.free must have exactly quotaPerDay, burst, rate, but has quotaPerWeek, burst, rate",
    ),
    (
        {"usagePlans": {"free": 5}},
        "usagePlans.free must have exactly quotaPerDay, burst, rate, but is 5",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 0, "burst": 5, "rate": 5}}},
        "usagePlans.free.quotaPerDay must be a whole number of 1 or more, but is 0",
    ),
    (
        {"usagePlans": {"free": {"quotaPerDay": 5, "burst": 5, "rate": 0}}},
        "usagePlans.free.rate must be a number of requests per second above 0, but is 0",
    ),
    (
        {"permissionsBoundaryArn": "orderflow-boundary-dev"},
        "permissionsBoundaryArn must be empty or the ARN of an IAM policy, but is orderflow-boundary-dev",
    ),
    ({"corsOrigins": []}, 'corsOrigins must be a list of origins or ["*"], but is []'),
    (
        {"corsOrigins": ["https://shop.example.com/"]},
        f"{ORIGINS} but holds https://shop.example.com/",
    ),
    (
        {"corsOrigins": ["*", "https://shop.example.com"]},
        f"{ORIGINS} but holds *",
    ),
    ({"systemLogLevel": "ERROR"}, "systemLogLevel must be one of DEBUG, INFO, WARN, but is ERROR"),
    ({"apiTimeoutSeconds": 29}, "apiTimeoutSeconds must be a whole number from 6 to 28, but is 29"),
    ({"consumerTimeoutSeconds": 5}, "consumerTimeoutSeconds must be a whole number from 6 to 900, but is 5"),
    ({"recoveryDays": 36}, "recoveryDays must be a whole number from 1 to 35, but is 36"),
    ({"accessLogs": "on"}, "accessLogs must be one of true, false, but is on"),
    ({"firewall": "on"}, "firewall must be one of true, false, but is on"),
    (
        {"customDomain": {"name": "api.example.com"}},
        "customDomain must be empty or have exactly name, certificateArn, zoneId, but has name",
    ),
    (
        {"customDomain": DOMAIN | {"name": "https://api.example.com"}},
        "customDomain.name must be a host name in lower case such as api.example.com, "
        "but is https://api.example.com",
    ),
    (
        {"customDomain": DOMAIN | {"name": "api"}},
        "customDomain.name must be a host name in lower case such as api.example.com, but is api",
    ),
    (
        {"customDomain": DOMAIN | {"certificateArn": "api.example.com"}},
        "customDomain.certificateArn must be the ARN of a certificate in AWS Certificate Manager, "
        "but is api.example.com",
    ),
    (
        {"customDomain": DOMAIN | {"zoneId": "example.com"}},
        "customDomain.zoneId must be the id of a Route 53 zone such as Z0123456789ABC, but is example.com",
    ),
    ({"tracingPercent": 101}, "tracingPercent must be a whole number from 0 to 100, but is 101"),
    ({"alarmEmail": "me"}, "alarmEmail must be empty or an e-mail address, but is me"),
    (
        {"runbookUrl": "docs/operations.md#alarms"},
        "runbookUrl must be an https URL or a page of this repository such as docs/operations.md, "
        "without a #section, but is docs/operations.md#alarms",
    ),
    (
        {"alarmQueueSeconds": 480, "stalledAfterMinutes": 8},
        "alarmQueueSeconds must be less than orderflow:stalledAfterMinutes (8 minutes), but is 480",
    ),
    (
        {"fulfillmentUrl": "http://127.0.0.1:8080/ship", "fulfillmentSecretArn": SECRET_ARN},
        "fulfillmentUrl must be an https URL without credentials, but is http://127.0.0.1:8080/ship",
    ),
    (
        {
            "fulfillmentUrl": "http://warehouse.example/ship",
            "fulfillmentSecretArn": SECRET_ARN,
            "fulfillmentAllowHttp": True,
        },
        "fulfillmentUrl must be an https URL without credentials, or of http on this very machine, "
        "but is http://warehouse.example/ship",
    ),
    (
        {"fulfillmentUrl": "https://me:pass@warehouse.example", "fulfillmentSecretArn": SECRET_ARN},
        "fulfillmentUrl must be an https URL without credentials, but is https://...@warehouse.example",
    ),
    (
        {"fulfillmentUrl": "https://warehouse.example:port"},
        "fulfillmentUrl must be an https URL without credentials, but is https://warehouse.example:port",
    ),
    (
        {"fulfillmentUrl": "https://warehouse.example/ship"},
        "fulfillmentSecretArn must be the ARN of a secret in AWS Secrets Manager when fulfillmentUrl is set, "
        "but is empty",
    ),
    (
        {"fulfillmentUrl": "https://warehouse.example/ship", "fulfillmentSecretArn": "s3cr3t"},
        "fulfillmentSecretArn must be the ARN of a secret in AWS Secrets Manager when fulfillmentUrl is set, "
        "but is something else",
    ),
    (
        {"fulfillmentSecretArn": SECRET_ARN},
        f"fulfillmentSecretArn must be empty while fulfillmentUrl is, but is {SECRET_ARN}",
    ),
    (
        {"consumerTimeoutSeconds": 20, "stalledAfterMinutes": 6},
        TOO_LONG.format(19, 6, 20),
    ),
    (
        {"consumerTimeoutSeconds": 900},
        TOO_LONG.format(33, 10, 900),
    ),
    ({"tags": ["team"]}, 'tags must be an object, but is ["team"]'),
    ({"tags": {"": "orders"}}, f"tags. {TAG_NAME}"),
    ({"tags": {"t" * 129: "orders"}}, f"tags.{'t' * 129} {TAG_NAME}"),
    ({"tags": {"aws:team": "orders"}}, f"tags.aws:team {TAG_NAME}"),
    ({"tags": {"AWS:team": "orders"}}, f"tags.AWS:team {TAG_NAME}"),
    ({"tags": {"team#1": "orders"}}, f"tags.team#1 {TAG_NAME}"),
    ({"tags": {"team\t": "orders"}}, f"tags.team\t {TAG_NAME}"),
    ({"tags": {"team": 1}}, f"tags.team {TAG_VALUE} 1"),
    ({"tags": {"team": "o" * 257}}, f"tags.team {TAG_VALUE} {'o' * 257}"),
    ({"tags": {"team": "orders & users"}}, f"tags.team {TAG_VALUE} orders & users"),
    ({"tags": {"team": "aws:orders"}}, f"tags.team {TAG_VALUE} aws:orders"),
    (
        {"tags": {"project": "shop"}},
        "tags.project must not be set, for it tells whose the resource is",
    ),
    ({"tags": {"Stack": "shop"}}, "tags.Stack must not be set, for it tells whose the resource is"),
    (
        {"tags": {"team": "orders", "Team": "users"}},
        "tags.Team is there twice, but for capital letters",
    ),
    (
        {"tags": {f"tag-{number}": "" for number in range(49)}},
        "tags must be at most 48, for AWS takes 50 with our own, but are 49",
    ),
]


@pytest.mark.parametrize(
    ("changes", "sentence"), MISTAKES, ids=[next(iter(changes)) for changes, _ in MISTAKES]
)
def test_a_mistake_is_one_sentence_that_names_the_key(changes: dict[str, Any], sentence: str) -> None:
    assert mistake(**changes) == f"orderflow:{sentence}."


def test_tags_may_be_all_that_aws_takes() -> None:
    tags = {f"tag-{number}": "" for number in range(45)} | {
        "Kostenträger": "Größe 1",
        "mail": "a.b-c_d+e@example.com",
        "t" * 128: "o" * 256,
    }
    assert read(tags=tags).tags == tags


def test_the_consumers_timeout_may_be_what_the_requeue_can_wait_for() -> None:
    assert read(consumerTimeoutSeconds=33).consumer_timeout_seconds == 33
    settings = read(consumerTimeoutSeconds=900, stalledAfterMinutes=271)
    assert settings.consumer_timeout_seconds == 900


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_message_that_fails_is_forgotten_by_the_queues_age_before_the_requeue_looks_at_it(
    stack: str,
) -> None:
    """SQS leaves a message that was received three times in vain out of the age:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    run = declare_test_stack(stack)
    queue = run.get(QUEUE, "orders").inputs
    environment = run.get(FUNCTION, "requeue_stalled_orders").inputs["environment"]["variables"]
    hidden = queue["visibilityTimeoutSeconds"]
    assert hidden == 6 * run.get(FUNCTION, "order_consumer").inputs["timeout"]
    assert json.loads(queue["redrivePolicy"])["maxReceiveCount"] >= 3
    assert 3 * hidden < 60 * int(environment["STALLED_AFTER_MINUTES"])


def test_a_certificate_of_another_region_is_refused_where_the_region_is_known() -> None:
    config = Config("dev", {"customDomain": DOMAIN})
    settings = StackSettings.read(config, region="eu-west-1")
    assert settings == StackSettings.read(config)
    assert settings.custom_domain is not None
    with pytest.raises(SettingsError) as error:
        StackSettings.read(config, region="us-east-1")
    assert str(error.value) == (
        "orderflow:customDomain.certificateArn must be of the stack's region us-east-1, but is of eu-west-1."
    )


def test_a_secret_in_another_region_is_refused() -> None:
    config = Config(
        "dev", {"fulfillmentUrl": "https://warehouse.example", "fulfillmentSecretArn": SECRET_ARN}
    )
    assert StackSettings.read(config, region="us-east-1").fulfillment
    with pytest.raises(SettingsError) as error:
        StackSettings.read(config, region="eu-west-1")
    assert str(error.value) == (
        "orderflow:fulfillmentSecretArn must be of the stack's region eu-west-1, but is of us-east-1."
    )


@pytest.mark.parametrize("days", [-1, 0, 2, 15, 4000, "14.5", "a week"])
def test_a_retention_that_cloudwatch_does_not_know_is_refused(days: object) -> None:
    sentence = mistake(logRetentionDays=days)
    assert sentence.startswith("orderflow:logRetentionDays must be one of 1, 3, 5, 7, 14, 30, ")
    assert sentence.endswith(f"3653, but is {days}.")


def test_a_missing_key_is_named() -> None:
    config = Config("dev")
    del config.values["workflowType"]
    with pytest.raises(SettingsError, match=r"^orderflow:workflowType is missing: .* no default for it\.$"):
        StackSettings.read(config)


def test_a_misspelt_key_is_named() -> None:
    config = Config("dev", {"deletionProtecton": True})
    with pytest.raises(
        SettingsError, match=r"^orderflow:deletionProtecton is unknown; the keys are accessLogs, "
    ):
        StackSettings.read(config, config.values)


def test_every_key_of_the_schema_is_read() -> None:
    config = Config("dev")
    StackSettings.read(config, config.values)


def test_the_keys_that_the_pulumi_cli_hands_over_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"orderflow:logLevel": "INFO", "aws:region": "us-east-1"}')
    assert _given_keys("orderflow") == ["logLevel"]


def test_an_infinite_number_is_no_number() -> None:
    assert mistake(maxAttempts="Infinity").endswith("but is Infinity.")


def test_the_defaults_are_those_of_the_design() -> None:
    settings = read(logLevel="INFO")
    assert settings.functions.log_retention_days == 14
    assert settings.workflow.type == "STANDARD"
    assert settings.api.usage_plans == {
        "free": UsagePlan(quota_per_day=5, burst=5, rate=5.0),
        "paid": UsagePlan(quota_per_day=5000, burst=200, rate=100.0),
    }
    assert settings.functions.reserved_concurrency == {}
    assert (settings.custom_domain, settings.firewall, settings.api.access_log_days) == (None, False, None)


def test_production_writes_few_log_lines() -> None:
    settings = read("prod")
    assert settings.functions.log_level == "INFO"
    assert settings.functions.system_log_level == "WARN"
    assert settings.workflow.log_level == "ERROR"
    assert settings.api.access_log_days is None
    assert settings.api.tracing_percent == 1


def test_production_keeps_its_data() -> None:
    tables = read("prod").tables
    assert (tables.point_in_time_recovery, tables.deletion_protection, tables.protect) == (True, True, True)
    assert tables.recovery_days == 35


@pytest.mark.parametrize(
    ("protected", "email", "is_warned"),
    [(True, "", True), (True, "on-call@example.com", False), (False, "", False)],
)
def test_a_deployment_warns_of_alarms_that_matter_and_reach_nobody(
    protected: bool, email: str, is_warned: bool
) -> None:
    messages = declare_test_stack(protectData=protected, alarmEmail=email).messages
    assert messages == is_warned * (
        "orderflow:alarmEmail is empty: this stack guards its data, but nobody hears its alarms.",
    )


def test_the_settings_cannot_be_changed_later() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().max_attempts = 5  # type: ignore[misc]
