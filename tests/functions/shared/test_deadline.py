"""The time that an invocation has left for calls."""

from __future__ import annotations

import math

import pytest

from functions.shared import deadline
from local.memory.functions import LambdaContext


@pytest.fixture(autouse=True)
def without_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_ends_at", math.inf)


def test_outside_an_invocation_calls_have_any_time() -> None:
    assert deadline.seconds_left() == math.inf


def test_an_invocation_keeps_a_reserve_for_its_answer() -> None:
    deadline.start(LambdaContext(remaining_time_in_millis=6000))
    assert 6 - deadline.RESERVE - 0.5 < deadline.seconds_left() <= 6 - deadline.RESERVE
