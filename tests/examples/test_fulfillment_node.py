"""The example fulfillment system in Node passes the contract test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.engine.program import PROJECT_ROOT
from local.partners.check import Difference, System, run_checks
from local.partners.receiver import CallReceiver, ReceiverServer

PROGRAM = PROJECT_ROOT / "examples" / "fulfillment_node" / "server.mjs"
SECRET = "a secret that must not be printed"
KEY = "a key that must not be printed"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not on PATH")


@contextmanager
def running(printed: list[str]) -> Iterator[System]:
    """Runs the program. Adds what it has printed to the list in the end."""
    receiver = CallReceiver(SECRET, KEY)
    with ReceiverServer(receiver) as api:
        environment = {
            "FULFILLMENT_SECRET": SECRET,
            "API_URL": api.url,
            "API_KEY": KEY,
            "PORT": "0",
            "SHIPS_AFTER": "0.3",
            "REFUSES": "refused",
        }
        with subprocess.Popen(
            ["node", PROGRAM],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            try:
                yield System(
                    url=first.removeprefix("serving on ").strip(),
                    secret=SECRET,
                    products=("lamp", "desk", "chair"),
                    refused_product="refused",
                    wait=10.0,
                    receiver=receiver,
                )
            finally:
                process.terminate()
                printed.append(first + process.stdout.read())


@pytest.fixture
def system() -> Iterator[System]:
    with running([]) as system:
        yield system


def test_it_passes_every_check(system: System) -> None:
    results = list(run_checks(system))
    assert [result for result in results if result.verdict != "ok"] == []
    assert len(results) > 15


def test_it_ships_two_parcels_and_refuses_one_product(system: System) -> None:
    order = system.new_order("lamp", "desk", "refused")
    assert system.fulfill(order).is_open
    outcome = system.wait_until_done(order)
    assert [id_ for _, id_ in outcome.facts] == ["parcel-1", "parcel-2", "refusal-1"]
    assert outcome.quantities("refusals") == {"refused": 1}


def test_a_body_that_is_not_json_does_not_end_it(system: System) -> None:
    order = system.new_order()
    with pytest.raises(Difference, match="no answer"):
        system.send(order.body()[:-1], order.order_id)
    assert system.fulfill(order).is_open


def test_it_prints_neither_secret_nor_key() -> None:
    printed: list[str] = []
    with running(printed) as system:
        assert system.receiver is not None
        system.receiver.api_key = "another one"
        system.wait_until_done(system.new_order())
    assert "403" in printed[0]
    assert SECRET not in printed[0]
    assert KEY not in printed[0]
