"""Runs several actors at once, in every order in which their calls can follow each other.

Every actor is a thread that waits before each of its calls until it is its turn, so that exactly one runs at
any time. All orders are tried, but no situation twice: what happens next depends only on the state of the
cloud and on what each actor has seen so far, so an order that leads into a situation that was met before is
not followed further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.memory.backend import World, installed
from local.memory.cloud import Call, Hook

Actor = Callable[[World], object]
Setting = tuple[World, Sequence[Actor]]


class Dropped(BaseException):
    """The rest of this order of calls was tried before."""


def _commutes(call: Call, request: Mapping[str, Any]) -> bool:
    """Whether it makes no difference when a call is made: it reads what no actor changes (users, prices, the
    secret), or adds to the events, whose order means nothing."""
    if call.service == "dynamodb":
        return call.operation == "BatchGetItem" or request.get("TableName") == "users"
    return call.service in {"events", "secretsmanager"}


@dataclass
class _Runner:
    """One actor's thread."""

    seen: list[int] = field(default_factory=list)  # a hash of each answer so far
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    is_done: bool = False
    is_dropped: bool = False
    error: BaseException | None = None


class _Turns(Hook):
    """Gives the turn to one actor after the other."""

    is_concurrent = True

    def __init__(self, world: World, actors: Sequence[Actor]) -> None:
        self._world = world
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
            actor(self._world)
        except Dropped:
            pass
        except BaseException as error:  # noqa: BLE001 - told to the test by `step`
            runner.error = error
        runner.is_done = True
        self._arrived.release()

    def before(self, call: Call, request: Mapping[str, Any]) -> None:
        runner = self._runner()
        if runner is not None and not _commutes(call, request):
            self._arrived.release()
            runner.turn.acquire()
            if runner.is_dropped:
                raise Dropped

    def after(self, call: Call, request: Mapping[str, Any], answer: object) -> None:
        runner = self._runner()
        if runner is not None:
            runner.seen.append(hash((call, repr(answer))))

    def refused(self, call: Call, error: Exception) -> None:
        runner = self._runner()
        if runner is not None:
            runner.seen.append(hash((call, repr(getattr(error, "response", error)))))

    def _runner(self) -> _Runner | None:
        return getattr(self._mine, "runner", None)

    def start(self) -> None:
        """Let every actor go up to its first call."""
        for thread in self._threads:
            thread.start()
            self._arrived.acquire()

    def alive(self) -> list[int]:
        return [number for number, runner in enumerate(self.runners) if not runner.is_done]

    def step(self, number: int) -> None:
        """Let one actor make its call, and go on up to its next one."""
        runner = self.runners[number]
        runner.turn.release()
        self._arrived.acquire()
        if runner.error is not None:
            raise runner.error

    def drop(self) -> None:
        """End all that has not ended."""
        for number in self.alive():
            runner = self.runners[number]
            runner.is_dropped = True
            while not runner.is_done:
                runner.turn.release()
                self._arrived.acquire()

    def situation(self) -> int:
        """All that the future depends on."""
        cloud = self._world.cloud
        tables = [sorted(table.items.items()) for table in cloud.store.tables.values()]
        return hash(
            (
                repr(tables),
                repr([message.body for message in cloud.queue]),
                repr(sorted(map(repr, cloud.events))),
                repr([(execution.name, execution.status) for execution in cloud.executions]),
                repr(sorted(cloud.warehouse.shipments.items())),
                repr(list(cloud.warehouse.plan)),
                tuple((tuple(runner.seen), runner.is_done) for runner in self.runners),
            )
        )


@dataclass
class Explored:
    """How much there was."""

    orders: int = 0  # that were run to their end
    situations: int = 0  # that differ


def explore(setting: Callable[[], Setting], judge: Callable[[World], object]) -> Explored:
    """Try all orders; `setting` makes a fresh world with its actors, `judge` looks at each end."""
    explored = Explored()
    met: set[int] = set()
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        prefix = waiting.pop()
        world, actors = setting()
        with installed(world):
            turns = _Turns(world, actors)
            world.cloud.hook = turns
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
                    world.cloud.hook = Hook()
                    judge(world)
                    explored.orders += 1
            except BaseException as error:
                error.add_note(f"in the order {taken}")
                raise
            finally:
                turns.drop()
    explored.situations = len(met)
    return explored
