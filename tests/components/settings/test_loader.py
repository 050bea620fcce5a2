"""Raw configuration, as the Pulumi CLI passes it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from components.settings.loader import SettingsError, given_keys
from components.settings.stack import StackSettings
from tests.components.settings.reading import Config, mistake, read


def test_a_key_without_a_value_is_named() -> None:
    config = Config("dev")
    del config.values["workflowType"]
    message = "workflowType: has no value. Set one, or give it a default in Pulumi.yaml."
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        StackSettings.read(config)


def test_a_misspelled_key_is_named() -> None:
    config = Config("dev", {"deletionProtecton": True})
    with pytest.raises(SettingsError, match=r"^deletionProtecton: is not a key\. Use one of accessLogs, "):
        StackSettings.read(config, config.values)


def test_every_key_of_the_schema_is_read() -> None:
    config = Config("dev")
    StackSettings.read(config, config.values)


def test_the_keys_of_the_project_are_read_from_the_pulumi_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"orderflow:logLevel": "INFO", "aws:region": "us-east-1"}')
    assert given_keys("orderflow") == ["logLevel"]


def test_an_infinite_number_is_refused() -> None:
    assert mistake(maxAttempts="Infinity").startswith("maxAttempts: Infinity is not allowed.")


@pytest.mark.parametrize(
    ("key", "typed", "meant"),
    [
        ("usagePlans", {"gold": {"quotaPerDay": "9", "burst": 5, "rate": "2.5"}}, None),
        ("usagePlans", {"gold": {"quotaPerDay": 9.0, "burst": "5", "rate": 2.5}}, None),
        ("reservedConcurrency", {"orders_api": "7"}, {"orders_api": 7}),
        ("tags", {"costCenter": 1234, "isTest": True, "share": 0.5}, None),
    ],
)
def test_members_of_objects_are_read_as_pulumi_config_set_stores_them(
    key: str, typed: Any, meant: Any
) -> None:
    """`pulumi config set --path` stores 2.5 as text, and 5 and true as a number and a boolean."""
    settings = read(**{key: typed})
    if key == "usagePlans":
        (plan,) = settings.api.usage_plans.values()
        assert (plan.quota_per_day, plan.burst, plan.rate) == (9, 5, 2.5)
    elif key == "tags":
        assert settings.tags == {"costCenter": "1234", "isTest": "true", "share": "0.5"}
    else:
        assert settings.functions.reserved_concurrency == meant


@pytest.mark.parametrize("rate", ["", "fast", "1,5", "Infinity", "nan", True, None, "-1", "0x10"])
def test_a_member_that_is_not_a_number_is_refused(rate: object) -> None:
    message = mistake(usagePlans={"gold": {"quotaPerDay": 9, "burst": 5, "rate": rate}})
    assert message.startswith("usagePlans.gold.rate: ")
    assert message.endswith(" is not allowed. Use a number of requests per second above 0.")
