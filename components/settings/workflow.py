"""Settings of the workflow's state machine."""

from dataclasses import dataclass
from typing import Final

from components.settings.functions import log_retention_days
from components.settings.loader import Values

WORKFLOW_TYPES: Final = ("STANDARD", "EXPRESS")
WORKFLOW_LOG_LEVELS: Final = ("ALL", "ERROR", "FATAL", "OFF")


@dataclass(frozen=True, kw_only=True)
class WorkflowSettings:
    """The state machine's type, and what it logs."""

    type: str
    log_level: str
    log_retention_days: int

    @classmethod
    def read(cls, values: Values) -> "WorkflowSettings":
        """Reads the keys."""
        return cls(
            type=values.one_of("workflowType", WORKFLOW_TYPES),
            log_level=values.one_of("workflowLogLevel", WORKFLOW_LOG_LEVELS),
            log_retention_days=log_retention_days(values),
        )
