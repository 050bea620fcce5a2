"""Settings that all tables share."""

from dataclasses import dataclass
from typing import Final

from components.settings.loader import Values, not_allowed

BILLING_MODES: Final = ("PAY_PER_REQUEST", "PROVISIONED")


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """Settings of all tables. The capacities are units per second, and 0 with PAY_PER_REQUEST."""

    billing_mode: str
    read_capacity: int
    write_capacity: int
    point_in_time_recovery: bool
    recovery_days: int  # of point-in-time recovery
    deletion_protection: bool
    protect: bool

    @classmethod
    def read(cls, values: Values) -> "TableSettings":
        """Reads the keys."""
        billing_mode = values.one_of("tableBillingMode", BILLING_MODES)
        return cls(
            billing_mode=billing_mode,
            read_capacity=_capacity(values, "tableReadCapacity", billing_mode),
            write_capacity=_capacity(values, "tableWriteCapacity", billing_mode),
            point_in_time_recovery=values.boolean("pointInTimeRecovery"),
            recovery_days=values.integer("recoveryDays", 1, 35),
            deletion_protection=values.boolean("deletionProtection"),
            protect=values.boolean("protectData"),
        )


def _capacity(values: Values, key: str, billing_mode: str) -> int:
    capacity = values.integer(key, 0)
    if billing_mode == "PROVISIONED" and capacity < 1:
        raise not_allowed(key, capacity, f"at least 1 with tableBillingMode {billing_mode}")
    if billing_mode == "PAY_PER_REQUEST" and capacity:
        raise not_allowed(key, capacity, f"0 with tableBillingMode {billing_mode}")
    return capacity
