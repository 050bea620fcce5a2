"""The functions run here as in `tests/functions`."""

from tests.functions.conftest import log_lines, world  # noqa: F401
