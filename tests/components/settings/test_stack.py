"""All settings of a stack."""

from __future__ import annotations

import dataclasses
import re

import pytest

from components.settings.api import UsagePlan
from components.settings.stack import NO_RECEIVER
from local.engine.program import ProgramError
from local.engine.stacks import declare_test_stack
from tests.components.settings.reading import read


def test_the_defaults_are_those_of_the_design() -> None:
    settings = read(logLevel="INFO")
    assert settings.functions.log_retention_days == 14
    assert settings.workflow.type == "STANDARD"
    assert settings.api.usage_plans == {
        "free": UsagePlan(quota_per_day=5, burst=5, rate=5.0),
        "paid": UsagePlan(quota_per_day=5000, burst=200, rate=100.0),
    }
    assert settings.functions.reserved_concurrency == {}
    assert settings.api.access_log_days is None


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


def test_an_update_of_protected_data_without_a_receiver_of_alarms_is_refused() -> None:
    with pytest.raises(ProgramError, match=re.escape(NO_RECEIVER)):
        declare_test_stack(protectData=True, alarmEmail="")
    assert declare_test_stack(protectData=True, alarmEmail="", preview=True).messages == (NO_RECEIVER,)


@pytest.mark.parametrize(("protected", "email"), [(True, "on-call@example.com"), (True, "none"), (False, "")])
def test_a_decided_receiver_of_alarms_is_accepted(protected: bool, email: str) -> None:
    assert declare_test_stack(protectData=protected, alarmEmail=email).messages == ()


def test_the_settings_cannot_be_changed_later() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().requeue = read().requeue  # type: ignore[misc]
