"""Runs several actors concurrently, in every possible order of their calls.

Every actor is a thread that waits for its turn before each call, so exactly one runs at any time. The further
course depends only on the cloud's state, and on the calls of each actor with their responses. A sequence that
reaches a known situation is not followed further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.memory.backend import MemoryBackend, installed
from local.memory.cloud import Hook, ServiceCall
from local.memory.functions import running_function
from local.memory.invariants import check_invariants

Actor = Callable[[MemoryBackend], object]
Setting = tuple[MemoryBackend, Sequence[Actor]]


class Dropped(BaseException):
    """Ends an actor, because the rest of its sequence was explored before."""


def _commutes(call: ServiceCall, request: Mapping[str, Any]) -> bool:
    """Returns whether a call commutes with all calls of other actors.

    It reads data that no actor changes (users, prices, the secret), or adds events, which have no order.
    """
    if call.service == "dynamodb":
        reads_user = request.get("TableName") == "users" and running_function.get() != "users_api"
        return call.operation == "BatchGetItem" or reads_user
    return call.service in {"events", "secretsmanager"}


@dataclass
class _Runner:
    """One actor's thread."""

    answers: list[int] = field(default_factory=list)  # hashes of its calls and their responses
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_done: bool = False
    is_dropped: bool = False
    error: BaseException | None = None


class _Turns(Hook):
    """Blocks each actor before its calls until `step` lets it continue."""

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
        if runner is not None:
            runner.answers.append(hash(call))  # also of a call whose response is lost

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
        """Makes one actor's call, and runs the actor up to its next one. Raises the actor's exception."""
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

    def cloud_state(self) -> int:
        """Returns a hash of the state of the cloud."""
        cloud = self._backend.cloud
        tables = [sorted(table.items.items()) for table in cloud.store.tables.values()]
        return hash(
            (
                repr(tables),
                repr([message.body for message in cloud.queue]),
                repr(sorted(map(repr, cloud.events))),
                repr([(execution.name, execution.status) for execution in cloud.executions]),
                repr(sorted(cloud.partner.shipments.items())),
                repr([(order_id, order.cancelled_at) for order_id, order in cloud.partner.orders.items()]),
                repr(list(cloud.partner.plan)),
            )
        )

    def progress(self) -> int:
        """Returns a hash of the calls of all actors, with their responses."""
        return hash(tuple((tuple(runner.answers), runner.is_done) for runner in self.runners))


@dataclass
class Explored:
    """The size of an exploration."""

    sequences: int = 0  # run to their end
    situations: int = 0  # distinct


def explore(setting: Callable[[], Setting], check: Callable[[MemoryBackend], object]) -> Explored:
    """Runs all sequences, and checks the invariants in every situation.

    `setting` makes a new backend and its actors; `check` checks each final state.
    """
    explored = Explored()
    known: set[tuple[int, int]] = set()
    checked: set[int] = set()
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
                    state = turns.cloud_state()
                    situation = (state, turns.progress())
                    if situation in known:
                        break
                    known.add(situation)
                    if state not in checked:
                        checked.add(state)
                        check_invariants(backend)
                    waiting.extend((*taken, other) for other in alive[1:])
                    turns.step(alive[0])
                    taken.append(alive[0])
                else:
                    backend.cloud.hook = Hook()
                    check(backend)
                    explored.sequences += 1
            except BaseException as error:
                error.add_note(f"in the sequence {taken}")
                raise
            finally:
                turns.drop()
    explored.situations = len(known)
    return explored
