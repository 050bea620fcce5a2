"""All configuration of a stack, read once and checked before anything is declared.

The keys, their defaults and what they mean stand in Pulumi.yaml. The Pulumi CLI checks the types that the
schema there can express; what AWS and this program demand beyond that is checked here. Components get parts
of `StackSettings` and never read configuration themselves.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeGuard, TypeVar
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from components.names import longest_stack_name

Choice = TypeVar("Choice", str, int)

FUNCTION_NAMES: Final = (
    "users_api",
    "products_api",
    "orders_api",
    "service_api",
    "order_consumer",
    "validate_order",
    "fulfill_order",
    "release_order",
    "update_order_status",
    "requeue_stalled_orders",
)

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
WORKFLOW_TYPES: Final = ("STANDARD", "EXPRESS")
WORKFLOW_LOG_LEVELS: Final = ("ALL", "ERROR", "FATAL", "OFF")
BILLING_MODES: Final = ("PAY_PER_REQUEST", "PROVISIONED")
SYSTEM_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARN")

# What CloudWatch Logs' PutRetentionPolicy accepts.
LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


class SettingsError(pulumi.RunError):
    """The configuration cannot be used: one sentence that names the key, printed without a stack trace."""


class ConfigSource(Protocol):
    """Where the values come from; `pulumi.Config` is one."""

    name: str

    def get(self, key: str) -> str | None:
        """The raw text of a value, objects and arrays as JSON; None when it is not set."""


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """What all functions share. `reserved_concurrency` holds only those that have a cap."""

    memory_mb: int
    log_level: str
    system_log_level: str  # of the lines that Lambda itself writes
    log_retention_days: int
    reserved_concurrency: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """What all tables share; the capacities are units per second, and 0 when billed per request."""

    billing_mode: str
    read_capacity: int
    write_capacity: int
    point_in_time_recovery: bool
    recovery_days: int  # how far back, when there is point-in-time recovery
    deletion_protection: bool
    protect: bool


@dataclass(frozen=True, kw_only=True)
class WorkflowSettings:
    """The state machine's kind, and what it logs for how long."""

    type: str
    log_level: str
    log_retention_days: int


@dataclass(frozen=True, kw_only=True)
class UsagePlan:
    """What one API key may do: requests per day, requests at once, requests per second."""

    quota_per_day: int
    burst: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The usage plans by name, the origins whose pages may call the API (or only "*"), how many percent of
    the requests are traced, and for how many days the access log is kept, if there is one."""

    usage_plans: Mapping[str, UsagePlan]
    cors_origins: tuple[str, ...]
    tracing_percent: int
    access_log_days: int | None = None


@dataclass(frozen=True, kw_only=True)
class CustomDomainSettings:
    """A name of one's own for the API, the ARN of its certificate, and the Route 53 zone that holds it."""

    name: str
    certificate_arn: str
    zone_id: str


@dataclass(frozen=True, kw_only=True)
class FulfillmentSettings:
    """The fulfillment system: its URL, and the ARN of the secret that signs the requests to it."""

    url: str
    secret_arn: str
    allow_http: bool  # to this very machine, where nobody listens in

    @property
    def environment(self) -> Mapping[str, str]:
        """What the function that hands orders over is told."""
        return {
            "FULFILLMENT_URL": self.url,
            "FULFILLMENT_SECRET_ARN": self.secret_arn,
            "FULFILLMENT_ALLOW_HTTP": str(self.allow_http).lower(),
        }


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Who is told of an alarm (nobody without `email`), where it is written what to do, and what is too much:
    of failures (percent), of time until the API answers (milliseconds), of waiting in the queue (seconds)."""

    email: str | None
    runbook_url: str
    error_percent: int
    latency_ms: int
    queue_seconds: int


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Everything that differs between stacks."""

    functions: FunctionSettings
    tables: TableSettings
    workflow: WorkflowSettings
    api: ApiSettings
    monitoring: MonitoringSettings
    custom_domain: CustomDomainSettings | None
    firewall: bool
    api_timeout_seconds: int
    consumer_timeout_seconds: int
    fulfillment: FulfillmentSettings | None
    default_currency: str
    consumer_max_concurrency: int
    stalled_after_minutes: int
    max_attempts: int
    require_tls: bool
    permissions_boundary_arn: str | None
    tags: Mapping[str, str]

    @classmethod
    def read(
        cls, config: ConfigSource, given_keys: Iterable[str] = (), *, region: str | None = None
    ) -> "StackSettings":
        """Read and check every key; raises SettingsError with one sentence for the first mistake.

        `given_keys` are the keys that the stack sets: one that nobody reads is a typing mistake. `region` is
        the one that the stack is deployed to, where its configuration says so.
        """
        values = _Values(config)
        log_level = values.one_of("logLevel", LOG_LEVELS)
        retention = values.one_of("logRetentionDays", LOG_RETENTION_DAYS)
        consumer_max_concurrency = values.integer("consumerMaxConcurrency", 2, 1000)
        stalled_after_minutes = values.integer("stalledAfterMinutes", 6)
        settings = cls(
            functions=FunctionSettings(
                memory_mb=values.integer("functionMemoryMb", 128, 10240),
                log_level=log_level,
                system_log_level=values.one_of("systemLogLevel", SYSTEM_LOG_LEVELS),
                log_retention_days=retention,
                reserved_concurrency=_reserved_concurrency(values, consumer_max_concurrency),
            ),
            tables=_tables(values),
            workflow=WorkflowSettings(
                type=values.one_of("workflowType", WORKFLOW_TYPES),
                log_level=values.one_of("workflowLogLevel", WORKFLOW_LOG_LEVELS),
                log_retention_days=retention,
            ),
            api=ApiSettings(
                usage_plans=_usage_plans(values),
                cors_origins=_cors_origins(values),
                tracing_percent=values.integer("tracingPercent", 0, 100),
                access_log_days=retention if values.boolean("accessLogs") else None,
            ),
            monitoring=_monitoring(values, stalled_after_minutes),
            custom_domain=_custom_domain(values, region),
            firewall=values.boolean("firewall"),
            # Above what a call that AWS does not answer may take, below API Gateway's 29 s.
            api_timeout_seconds=values.integer("apiTimeoutSeconds", 6, 28),
            consumer_timeout_seconds=_consumer_timeout(values, stalled_after_minutes),
            fulfillment=_fulfillment(values, region),
            default_currency=_currency(values),
            consumer_max_concurrency=consumer_max_concurrency,
            stalled_after_minutes=stalled_after_minutes,
            max_attempts=values.integer("maxAttempts", 1),
            require_tls=values.boolean("requireTls"),
            permissions_boundary_arn=_permissions_boundary(values),
            tags=_tags(values),
        )
        values.refuse_unknown(given_keys)
        return settings

    @classmethod
    def load(cls) -> "StackSettings":
        """The settings of the stack that Pulumi is running; warns where alarms matter and reach nobody.

        Raises SettingsError as `read` does, and for a name of the stack that is too long.
        """
        config = pulumi.Config()
        stack, longest = pulumi.get_stack(), longest_stack_name(config.name, FUNCTION_NAMES)
        if len(stack) > longest:
            raise SettingsError(
                f"The stack's name {stack} has {len(stack)} characters, but may have {longest} at most: "
                "it is a part of the names of roles, for which IAM takes 64."
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]+", stack):
            raise SettingsError(
                f"The stack's name must hold letters, digits, - and _ only, but is {stack}: "
                "it is a part of the names of queues and functions, which take nothing else."
            )
        settings = cls.read(config, _given_keys(config.name), region=pulumi.Config("aws").get("region"))
        if settings.tables.protect and not settings.monitoring.email:
            pulumi.log.warn(
                f"{config.name}:alarmEmail is empty: this stack guards its data, but nobody hears its alarms."
            )
        return settings


def _given_keys(project: str) -> list[str]:
    """The keys of the project that are set, without its name.

    The SDK has no public list of them, and without one a misspelt key would pass unnoticed. The Pulumi CLI
    hands its configuration over in the environment, a program that embeds Pulumi sets it.
    """
    given = {**get_config_env(), **CONFIG.get()}
    return [key.removeprefix(f"{project}:") for key in given if key.startswith(f"{project}:")]


class _Values:
    """Typed access to the raw configuration, with one kind of message for every mistake."""

    def __init__(self, config: ConfigSource) -> None:
        self._config = config
        self._read: set[str] = set()

    def error(self, key: str, problem: str) -> SettingsError:
        return SettingsError(f"{self._config.name}:{key} {problem}.")

    def text(self, key: str) -> str:
        self._read.add(key)
        value = self._config.get(key)
        if value is None:
            raise self.error(
                key, "is missing: the stack does not set it and Pulumi.yaml has no default for it"
            )
        return value

    def one_of(self, key: str, allowed: tuple[Choice, ...]) -> Choice:
        text = self.text(key)
        for value in allowed:
            if str(value) == text:
                return value
        raise self.error(key, f"must be one of {', '.join(map(str, allowed))}, but is {text}")

    def integer(self, key: str, low: int, high: float = math.inf) -> int:
        return self.as_integer(key, self.json(key), low, high)

    def as_integer(self, key: str, value: object, low: int, high: float = math.inf) -> int:
        if not _is_whole(value) or not low <= value <= high:
            limits = f"of {low} or more" if high == math.inf else f"from {low} to {high}"
            raise self.error(key, f"must be a whole number {limits}, but is {_shown(value)}")
        return int(value)

    def boolean(self, key: str) -> bool:
        return self.one_of(key, ("true", "false")) == "true"

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.json(key)
        if not isinstance(value, dict):
            raise self.error(key, f"must be an object, but is {_shown(value)}")
        return value

    def json(self, key: str) -> Any:
        text = self.text(key)
        try:
            return json.loads(text)
        except ValueError:
            return text

    def refuse_unknown(self, given_keys: Iterable[str]) -> None:
        for key in sorted(set(given_keys) - self._read):
            raise self.error(key, f"is unknown; the keys are {', '.join(sorted(self._read))}")


def _is_whole(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _reserved_concurrency(values: _Values, consumer_max_concurrency: int) -> Mapping[str, int]:
    key = "reservedConcurrency"
    reserved = {}
    for name, amount in values.mapping(key).items():
        if name not in FUNCTION_NAMES:
            raise values.error(
                key, f"names the unknown function {name}; the functions are {', '.join(FUNCTION_NAMES)}"
            )
        reserved[name] = values.as_integer(f"{key}.{name}", amount, 1)
    # Below this the queue's pollers take messages that are then throttled, which uses up their deliveries.
    if reserved.get("order_consumer", consumer_max_concurrency) < consumer_max_concurrency:
        raise values.error(
            f"{key}.order_consumer",
            f"must be at least orderflow:consumerMaxConcurrency ({consumer_max_concurrency}), "
            f"but is {reserved['order_consumer']}",
        )
    return reserved


def _tables(values: _Values) -> TableSettings:
    billing_mode = values.one_of("tableBillingMode", BILLING_MODES)
    capacities = {key: values.integer(key, 0) for key in ("tableReadCapacity", "tableWriteCapacity")}
    for key, capacity in capacities.items():
        if billing_mode == "PROVISIONED" and capacity < 1:
            raise values.error(
                key, f"must be 1 or more when tableBillingMode is PROVISIONED, but is {capacity}"
            )
        if billing_mode == "PAY_PER_REQUEST" and capacity:
            raise values.error(key, f"must be 0 when tableBillingMode is PAY_PER_REQUEST, but is {capacity}")
    return TableSettings(
        billing_mode=billing_mode,
        read_capacity=capacities["tableReadCapacity"],
        write_capacity=capacities["tableWriteCapacity"],
        point_in_time_recovery=values.boolean("pointInTimeRecovery"),
        recovery_days=values.integer("recoveryDays", 1, 35),
        deletion_protection=values.boolean("deletionProtection"),
        protect=values.boolean("protectData"),
    )


def _usage_plans(values: _Values) -> Mapping[str, UsagePlan]:
    key = "usagePlans"
    plans = {name: _usage_plan(values, f"{key}.{name}", plan) for name, plan in values.mapping(key).items()}
    if not plans:
        raise values.error(key, "must hold at least one plan, but is empty")
    return plans


def _usage_plan(values: _Values, key: str, plan: object) -> UsagePlan:
    fields = ("quotaPerDay", "burst", "rate")
    if not isinstance(plan, dict) or set(plan) != set(fields):
        found = f"has {', '.join(plan) or 'nothing'}" if isinstance(plan, dict) else f"is {_shown(plan)}"
        raise values.error(key, f"must have exactly {', '.join(fields)}, but {found}")
    rate = plan["rate"]
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise values.error(
            f"{key}.rate", f"must be a number of requests per second above 0, but is {_shown(rate)}"
        )
    return UsagePlan(
        quota_per_day=values.as_integer(f"{key}.quotaPerDay", plan["quotaPerDay"], 1),
        burst=values.as_integer(f"{key}.burst", plan["burst"], 1),
        rate=float(rate),
    )


# No path and no slash at the end: browsers send an Origin without them, and compare it letter by letter.
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


def _cors_origins(values: _Values) -> tuple[str, ...]:
    key = "corsOrigins"
    origins = values.json(key)
    if not isinstance(origins, list) or not origins:
        raise values.error(key, f'must be a list of origins or ["*"], but is {_shown(origins)}')
    if origins == ["*"]:
        return ("*",)
    for origin in origins:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise values.error(
                key,
                'must hold origins like "https://shop.example.com" (scheme, lower-case host, port if any), '
                f'or "*" alone, but holds {_shown(origin)}',
            )
    return tuple(dict.fromkeys(origins))


# The queue hides a message for so many times the consumer's timeout, for which AWS asks: a throttled batch
# must not reappear while it is retried.
VISIBILITY_PER_TIMEOUT: Final = 6
# SQS leaves a message that was received three times in vain out of the age of the oldest, which the requeue
# goes by:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_COUNTED_PER_TIMEOUT: Final = 3 * VISIBILITY_PER_TIMEOUT


def _consumer_timeout(values: _Values, stalled_after_minutes: int) -> int:
    key = "consumerTimeoutSeconds"
    timeout = values.integer(key, 6, 900)
    longest = (60 * stalled_after_minutes - 1) // _COUNTED_PER_TIMEOUT
    if timeout > longest:
        raise values.error(
            key,
            f"must be at most {longest} with orderflow:stalledAfterMinutes at {stalled_after_minutes}, "
            f"but is {timeout}: a message that fails comes back after six times as long, and until that "
            "happened three times the requeue takes the queue to be behind and waits",
        )
    return timeout


_RUNBOOK: Final = re.compile(r"https://[^\s#]+|docs/[\w./-]+\.md")


def _monitoring(values: _Values, stalled_after_minutes: int) -> MonitoringSettings:
    email, runbook_url = values.text("alarmEmail"), values.text("runbookUrl")
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise values.error("alarmEmail", f"must be empty or an e-mail address, but is {email}")
    if not _RUNBOOK.fullmatch(runbook_url):
        raise values.error(
            "runbookUrl",
            "must be an https URL or a page of this repository such as docs/operations.md, "
            f"without a #section, but is {runbook_url or 'empty'}",
        )
    queue_seconds = values.integer("alarmQueueSeconds", 60)
    if queue_seconds >= 60 * stalled_after_minutes:
        # From there on nothing is requeued any more: the alarm must come before.
        raise values.error(
            "alarmQueueSeconds",
            f"must be less than orderflow:stalledAfterMinutes ({stalled_after_minutes} minutes), "
            f"but is {queue_seconds}",
        )
    return MonitoringSettings(
        email=email or None,
        runbook_url=runbook_url,
        error_percent=values.integer("alarmErrorPercent", 1, 99),
        latency_ms=values.integer("alarmLatencyMs", 1, 29_000),
        queue_seconds=queue_seconds,
    )


_HOST_NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_CERTIFICATE_ARN: Final = re.compile(r"arn:aws[a-z-]*:acm:(?P<region>[a-z0-9-]+):[0-9]{12}:certificate/\S+")
_ZONE_ID: Final = re.compile(r"Z[A-Z0-9]{1,31}")


def _custom_domain(values: _Values, region: str | None) -> CustomDomainSettings | None:
    key = "customDomain"
    fields = ("name", "certificateArn", "zoneId")
    domain = values.mapping(key)
    if not domain:
        return None
    if set(domain) != set(fields):
        raise values.error(
            key, f"must be empty or have exactly {', '.join(fields)}, but has {', '.join(domain)}"
        )
    name, certificate, zone = (str(domain[field]) for field in fields)
    if not _HOST_NAME.fullmatch(name):
        raise values.error(
            f"{key}.name", f"must be a host name in lower case such as api.example.com, but is {name}"
        )
    arn = _CERTIFICATE_ARN.fullmatch(certificate)
    if not arn:
        raise values.error(
            f"{key}.certificateArn",
            f"must be the ARN of a certificate in AWS Certificate Manager, but is {certificate}",
        )
    if region and arn["region"] != region:
        # A regional endpoint takes certificates of its own region only.
        raise values.error(
            f"{key}.certificateArn", f"must be of the stack's region {region}, but is of {arn['region']}"
        )
    if not _ZONE_ID.fullmatch(zone):
        raise values.error(
            f"{key}.zoneId", f"must be the id of a Route 53 zone such as Z0123456789ABC, but is {zone}"
        )
    return CustomDomainSettings(name=name, certificate_arn=certificate, zone_id=zone)


_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_SECRET_ARN: Final = re.compile(r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:\S+")


def _fulfillment(values: _Values, region: str | None) -> FulfillmentSettings | None:
    url, secret_arn = values.text("fulfillmentUrl"), values.text("fulfillmentSecretArn")
    allow_http = values.boolean("fulfillmentAllowHttp")
    if not url:
        if secret_arn:
            raise values.error(
                "fulfillmentSecretArn", f"must be empty while fulfillmentUrl is, but is {secret_arn}"
            )
        return None
    if not _is_fulfillment_url(url, allow_http):
        or_http = ", or of http on this very machine" if allow_http else ""
        raise values.error(
            "fulfillmentUrl",
            f"must be an https URL without credentials{or_http}, but is {_without_user(url)}",
        )
    arn = _SECRET_ARN.fullmatch(secret_arn)
    if not arn:
        raise values.error(
            "fulfillmentSecretArn",
            "must be the ARN of a secret in AWS Secrets Manager when fulfillmentUrl is set, "
            f"but is {'something else' if secret_arn else 'empty'}",
        )
    if region and arn["region"] != region:
        raise values.error(
            "fulfillmentSecretArn", f"must be of the stack's region {region}, but is of {arn['region']}"
        )
    return FulfillmentSettings(url=url, secret_arn=secret_arn, allow_http=allow_http)


def _is_fulfillment_url(text: str, allow_http: bool) -> bool:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return False
    is_plain_but_local = allow_http and url.scheme == "http" and url.hostname in _LOOPBACK
    return bool(url.hostname) and url.username is None and (url.scheme == "https" or is_plain_but_local)


def _without_user(url: str) -> str:
    """A URL for a message: without the user's name and password, should it hold them."""
    return re.sub(r"//[^/@]*@", "//...@", url)


def _currency(values: _Values) -> str:
    currency = values.text("defaultCurrency")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise values.error("defaultCurrency", f"must be an ISO 4217 code such as EUR, but is {currency}")
    return currency


_POLICY_ARN: Final = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+")


def _permissions_boundary(values: _Values) -> str | None:
    arn = values.text("permissionsBoundaryArn")
    if arn and not _POLICY_ARN.fullmatch(arn):
        raise values.error(
            "permissionsBoundaryArn", f"must be empty or the ARN of an IAM policy, but is {arn}"
        )
    return arn or None


# What all services take: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_TAG: Final = re.compile(r"(?!aws:)[\w .:/=+@-]*", re.IGNORECASE)
_TAG_CHARACTERS: Final = "letters, digits, spaces and _.:/=+-@"
_TAGS_PER_RESOURCE: Final = 50
_OWN_TAGS: Final = ("project", "stack")


def _tags(values: _Values) -> Mapping[str, str]:
    key = "tags"
    tags = values.mapping(key)
    most = _TAGS_PER_RESOURCE - len(_OWN_TAGS)
    if len(tags) > most:
        raise values.error(
            key,
            f"must be at most {most}, for AWS takes {_TAGS_PER_RESOURCE} with our own, but are {len(tags)}",
        )
    seen = set()
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or not _TAG.fullmatch(name):
            raise values.error(
                f"{key}.{name}",
                f"must have a name of 1 to 128 {_TAG_CHARACTERS} that does not begin with aws:",
            )
        if not isinstance(value, str) or len(value) > 256 or not _TAG.fullmatch(value):
            raise values.error(
                f"{key}.{name}",
                f"must be a text of up to 256 {_TAG_CHARACTERS} that does not begin with aws:, "
                f"but is {_shown(value)}",
            )
        # On a role names that differ in capital letters only are the same:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
        if name.lower() in _OWN_TAGS:
            raise values.error(f"{key}.{name}", "must not be set, for it tells whose the resource is")
        if name.lower() in seen:
            raise values.error(f"{key}.{name}", "is there twice, but for capital letters")
        seen.add(name.lower())
    return tags
