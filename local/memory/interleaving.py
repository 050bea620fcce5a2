"""Runs several actors at once, in every order in which their calls can follow each other.

Every actor is a thread that waits for its turn before each of its calls, so exactly one runs at any time.
What follows depends only on the state of the cloud and on the answers that each actor got so far. A sequence
that reaches a known situation is not followed further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook, ServiceCall

Actor = Callable[[MemoryBackend], object]
Setting = tuple[MemoryBackend, Sequence[Actor]]


class Dropped(BaseException):
    """Ends an actor: the rest of this sequence was explored before."""


def _commutes(call: ServiceCall, request: Mapping[str, Any]) -> bool:
    """Whether the time of a call makes no difference.

    It reads what no actor changes (users, prices, the secret), or adds to the events, which have no order.
    """
    if call.service == "dynamodb":
        return call.operation == "BatchGetItem" or request.get("TableName") == "users"
    return call.service in {"events", "secretsmanager"}


@dataclass
class _Runner:
    """One actor's thread."""

    answers: list[int] = field(default_factory=list)  # a hash of each
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_done: bool = False
    is_dropped: bool = False
    error: BaseException | None = None


class _Turns(Hook):
    """Lets one actor after the other make its next call."""

    is_concurrent = True

    def __init__(self, backend: MemoryBackend, actors: Sequence[Actor]) -> None:
        self._backend = backend
        self._mine = threading.local()
        self._arrived = threading.Semaphore(0)
        self.runners = [_Runner() for _ in actors]
        self._threads = [
            threading.Thread(target=self._run, args=pair, daemon=True)
            for pair in zip(self.runners, actors, strict=True)
        ]

    def _run(self, runner: _Runner, actor: Actor) -> None:
        self._mine.runner = runner
        try:
            actor(self._backend)
        except Dropped:
            pass
        except BaseException as error:  # noqa: BLE001  `step` raises it in the test
            runner.error = error
        runner.is_done = True
        self._arrived.release()

    def before(self, call: ServiceCall, request: Mapping[str, Any]) -> None:
        runner = self._runner()
        if runner is not None and not _commutes(call, request):
            self._arrived.release()
            runner.turn.acquire()
            if runner.is_dropped:
                raise Dropped

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        runner = self._runner()
        if runner is not None:
            runner.answers.append(hash((call, repr(answer))))

    def refused(self, call: ServiceCall, request: Mapping[str, Any], error: Exception) -> None:
        runner = self._runner()
        if runner is not None:
            runner.answers.append(hash((call, repr(getattr(error, "response", error)))))

    def _runner(self) -> _Runner | None:
        return getattr(self._mine, "runner", None)

    def start(self) -> None:
        """Runs every actor up to its first call."""
        for thread in self._threads:
            thread.start()
            self._arrived.acquire()

    def alive(self) -> list[int]:
        """Returns the numbers of the actors that have not ended."""
        return [number for number, runner in enumerate(self.runners) if not runner.is_done]

    def step(self, number: int) -> None:
        """Lets one actor make its call, and runs it up to its next one. Raises what the actor raises."""
        runner = self.runners[number]
        runner.turn.release()
        self._arrived.acquire()
        if runner.error is not None:
            raise runner.error

    def drop(self) -> None:
        """Ends all actors that have not ended."""
        for number in self.alive():
            runner = self.runners[number]
            runner.is_dropped = True
            while not runner.is_done:
                runner.turn.release()
                self._arrived.acquire()

    def situation(self) -> int:
        """Returns a hash of everything that decides what can follow."""
        cloud = self._backend.cloud
        tables = [sorted(table.items.items()) for table in cloud.store.tables.values()]
        return hash(
            (
                repr(tables),
                repr([message.body for message in cloud.queue]),
                repr(sorted(map(repr, cloud.events))),
                repr([(execution.name, execution.status) for execution in cloud.executions]),
                repr(sorted(cloud.partner.shipments.items())),
                repr(list(cloud.partner.plan)),
                tuple((tuple(runner.answers), runner.is_done) for runner in self.runners),
            )
        )


@dataclass
class Explored:
    """How much was explored."""

    sequences: int = 0  # that were run to their end
    situations: int = 0  # different ones


def explore(setting: Callable[[], Setting], judge: Callable[[MemoryBackend], object]) -> Explored:
    """Runs all sequences. `setting` makes a new backend and its actors; `judge` checks each end."""
    explored = Explored()
    met: set[int] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        prefix = waiting.pop()
        backend, actors = setting()
        with installed(backend):
            turns = _Turns(backend, actors)
            backend.cloud.hook = turns
            turns.start()
            taken: list[int] = []
            try:
                for number in prefix:
                    turns.step(number)
                    taken.append(number)
                while alive := turns.alive():
                    situation = turns.situation()
                    if situation in met:
                        break
                    met.add(situation)
                    waiting.extend((*taken, other) for other in alive[1:])
                    turns.step(alive[0])
                    taken.append(alive[0])
                else:
                    backend.cloud.hook = Hook()
                    judge(backend)
                    explored.sequences += 1
            except BaseException as error:
                error.add_note(f"in the sequence {taken}")
                raise
            finally:
                turns.drop()
    explored.situations = len(met)
    return explored
