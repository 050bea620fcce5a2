"""The environment variables of a function."""

from __future__ import annotations

import pytest

from functions.shared.environment import MissingEnvironmentVariable, optional, required


@pytest.mark.parametrize("value", [None, ""])
def test_an_absent_or_empty_variable_has_no_value(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SOME_TABLE", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_TABLE", value)
    assert optional("SOME_TABLE") is None
    with pytest.raises(MissingEnvironmentVariable, match="SOME_TABLE"):
        required("SOME_TABLE")


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TABLE", "orders")
    assert (optional("SOME_TABLE"), required("SOME_TABLE")) == ("orders", "orders")
