"""The exploration distinguishes situations by the calls that each actor made, answered or not."""

from __future__ import annotations

from urllib.parse import urlsplit

from functions.shared.domain.errors import FulfillmentUnavailable
from local.memory.backend import MemoryBackend
from local.memory.interleaving import Actor, Setting, explore
from local.partners.fulfillment import Behavior


def test_each_actor_is_once_the_one_whose_request_is_lost() -> None:
    losses: list[str] = []
    outcomes = set()

    def send_twice(name: str) -> Actor:
        def run(backend: MemoryBackend) -> None:
            for _ in range(2):
                try:
                    backend.cloud.post(urlsplit("https://fulfillment"), b"{}", {}, 1.0)
                except FulfillmentUnavailable:
                    losses.append(name)

        return run

    def setting() -> Setting:
        losses.clear()
        backend = MemoryBackend(uses_fulfillment_system=True)
        backend.cloud.partner.plan.append(Behavior.DROP_REQUEST)
        return backend, [send_twice("a"), send_twice("b")]

    explore(setting, lambda _: outcomes.add(tuple(losses)))
    assert outcomes == {("a",), ("b",)}
