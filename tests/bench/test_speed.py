"""Functions import no module that slows a cold start, and packages have size limits."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.package import FUNCTION_KB, LAYER_MB
from bench.samples import ENVIRONMENT, EVENTS, PROJECT_ROOT, function_packages

# Modules that slow a cold start, or that import one.
_BANNED = (
    "boto3",
    "pydantic",
    "aws_xray_sdk",
    "requests",
    "moto",
    "yaml",
    "aws_lambda_powertools.utilities.parser",
)


def test_every_function_has_a_sample_event() -> None:
    assert set(function_packages()) <= set(EVENTS)


@pytest.mark.parametrize("package", function_packages())
def test_a_function_imports_no_module_that_slows_a_cold_start(package: str) -> None:
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
    assert (LAYER_MB.must, LAYER_MB.aim, FUNCTION_KB.must) == (2.0, 1.5, 100.0)
