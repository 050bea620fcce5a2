"""Settings of the API: usage plans, CORS, timeout, tracing, access logs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.settings.functions import log_retention_days
from components.settings.loader import SettingsError, Values, as_integer, as_number, not_allowed, with_members
from functions.shared.domain.currencies import CODE

# No path and no slash at the end: browsers send an Origin without them and compare it byte by byte.
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
_CURRENCY: Final = re.compile(CODE)


@dataclass(frozen=True, kw_only=True)
class UsagePlan:
    """Limits of one API key: requests per day, requests at once, requests per second."""

    quota_per_day: int
    burst: int
    rate: float


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """Settings of the API and of the functions behind it."""

    usage_plans: Mapping[str, UsagePlan]
    cors_origins: tuple[str, ...]  # of pages that may call the API, or only "*"
    tracing_percent: int
    timeout_seconds: int = 10  # of the functions
    default_currency: str = "EUR"
    basket_days: int = 30  # since the last change
    access_log_days: int | None = None  # None: no access log

    @classmethod
    def read(cls, values: Values) -> "ApiSettings":
        """Reads the keys."""
        return cls(
            usage_plans=_usage_plans(values),
            cors_origins=_cors_origins(values),
            tracing_percent=values.integer("tracingPercent", 0, 100),
            # More than an AWS call without an answer takes, less than API Gateway's 29 s.
            timeout_seconds=values.integer("apiTimeoutSeconds", 6, 28),
            default_currency=values.matching("defaultCurrency", _CURRENCY, "an ISO 4217 code such as EUR"),
            basket_days=values.integer("basketDays", 1, 365),
            access_log_days=log_retention_days(values) if values.boolean("accessLogs") else None,
        )


def _usage_plans(values: Values) -> Mapping[str, UsagePlan]:
    key = "usagePlans"
    plans = {name: _usage_plan(f"{key}.{name}", plan) for name, plan in values.mapping(key).items()}
    if not plans:
        raise SettingsError(f"{key}: has no plan. Add at least one, such as free.")
    return plans


def _usage_plan(key: str, value: object) -> UsagePlan:
    plan = with_members(key, value, ("quotaPerDay", "burst", "rate"))
    rate = as_number(plan["rate"])
    if rate is None or rate <= 0:
        raise not_allowed(f"{key}.rate", plan["rate"], "a number of requests per second above 0")
    return UsagePlan(
        quota_per_day=as_integer(f"{key}.quotaPerDay", plan["quotaPerDay"], 1),
        burst=as_integer(f"{key}.burst", plan["burst"], 1),
        rate=rate,
    )


def _cors_origins(values: Values) -> tuple[str, ...]:
    key = "corsOrigins"
    origins = values.array(key)
    if origins == ["*"]:
        return ("*",)
    for origin in origins:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            expected = 'origins of a scheme, a lower-case host and an optional port, or "*" alone'
            raise not_allowed(key, origin, expected)
    return tuple(dict.fromkeys(origins))
