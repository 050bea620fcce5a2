"""Settings of the requeue of stalled orders."""

from dataclasses import dataclass

from components.settings.loader import Values


@dataclass(frozen=True, kw_only=True)
class RequeueSettings:
    """When an order counts as stalled, and how many attempts it gets."""

    stalled_after_minutes: int
    max_attempts: int

    @classmethod
    def read(cls, values: Values) -> "RequeueSettings":
        """Reads the keys."""
        return cls(
            # An EXPRESS execution ends within 5 minutes.
            stalled_after_minutes=values.integer("stalledAfterMinutes", 6),
            max_attempts=values.integer("maxAttempts", 1),
        )
