"""Fixtures, as in `tests/functions`."""

from tests.functions.conftest import backend, log_lines  # noqa: F401
