"""Settings that all functions share."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from components.settings.loader import Values, as_integer, not_allowed

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SYSTEM_LOG_LEVELS: Final = ("DEBUG", "INFO", "WARN")

# The values that PutRetentionPolicy accepts:
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """Settings of all functions. `reserved_concurrency` holds only the functions that have a cap."""

    memory_mb: int
    log_level: str
    system_log_level: str  # of the lines that Lambda itself writes
    log_retention_days: int
    reserved_concurrency: Mapping[str, int]

    @classmethod
    def read(cls, values: Values, functions: Collection[str]) -> "FunctionSettings":
        """Reads the keys; `functions` are the names that `reservedConcurrency` may hold."""
        return cls(
            memory_mb=values.integer("functionMemoryMb", 128, 10240),
            log_level=values.one_of("logLevel", LOG_LEVELS),
            system_log_level=values.one_of("systemLogLevel", SYSTEM_LOG_LEVELS),
            log_retention_days=log_retention_days(values),
            reserved_concurrency=_reserved_concurrency(values, functions),
        )


def log_retention_days(values: Values) -> int:
    """Returns the days that every log group is kept."""
    return values.one_of("logRetentionDays", LOG_RETENTION_DAYS)


def _reserved_concurrency(values: Values, functions: Collection[str]) -> Mapping[str, int]:
    key = "reservedConcurrency"
    reserved = {}
    for name, amount in values.mapping(key).items():
        if name not in functions:
            raise not_allowed(key, name, f"names of functions: {', '.join(functions)}")
        reserved[name] = as_integer(f"{key}.{name}", amount, 1)
    return reserved
