"""What makes a start fast stays as it is: no import that a cold start would pay for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.package import FUNCTION_KB, LAYER_MB
from bench.samples import ENVIRONMENT, EVENTS, PROJECT_ROOT, function_packages

# Modules that cost a cold start, and what would bring them in.
_BANNED = (
    "boto3",
    "pydantic",
    "aws_xray_sdk",
    "requests",
    "moto",
    "yaml",
    "aws_lambda_powertools.utilities.parser",
)


def test_every_function_has_an_event_to_be_measured_with() -> None:
    assert set(function_packages()) <= set(EVENTS)


@pytest.mark.parametrize("package", function_packages())
def test_a_function_imports_nothing_that_a_cold_start_would_pay_for(package: str) -> None:
    code = f"import sys, {package}.handler; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(ENVIRONMENT),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    imported = set(result.stdout.split())

    assert imported.isdisjoint(_BANNED)


def test_the_limits_of_the_package_are_those_of_the_design() -> None:
    assert (LAYER_MB.must, LAYER_MB.aim, FUNCTION_KB.must) == (4.0, 1.5, 100.0)
