"""Runs several actors concurrently, in every possible order of their calls.

Every actor is a thread that waits for its turn before each call, so exactly one runs at any time. The further
course depends only on the cloud's state, and on the calls of each actor with their responses. So a situation
is followed once, whichever sequence reaches it. A step of an actor depends on the state and on its own calls.
So a step is run once, and known in all situations that differ in the calls of other actors.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

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

    It reads data that no actor changes (users, prices, the secret), or adds events, which have no order. Its
    response is always the same.
    """
    if call.service == "dynamodb":
        reads_user = request.get("TableName") == "users" and running_function.get() != "users_api"
        return call.operation == "BatchGetItem" or reads_user
    return call.service in {"events", "secretsmanager"}


class _Progress(NamedTuple):
    """How far an actor is."""

    calls: int  # a hash of its calls with their responses
    is_done: bool


class _Situation(NamedTuple):
    """What the further course depends on."""

    state: int  # a hash of the cloud's state
    progress: tuple[_Progress, ...]  # of each actor

    def alive(self) -> list[int]:
        """Returns the numbers of the actors that have not ended."""
        return [number for number, progress in enumerate(self.progress) if not progress.is_done]


@dataclass
class _Runner:
    """One actor's thread."""

    calls: int = 0  # a hash of its calls with their responses, without those that commute
    is_counted: bool = True  # whether its present call does not commute
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
            threading.Thread(target=self._run, args=pair, name=f"actor {number}", daemon=True)
            for number, pair in enumerate(zip(self.runners, actors, strict=True))
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
        if runner is not None:
            runner.is_counted = not _commutes(call, request)
            if runner.is_counted:
                self._arrived.release()
                runner.turn.acquire()
                if runner.is_dropped:
                    raise Dropped
        self._add(call)  # also of a call whose response is lost

    def after(self, call: ServiceCall, request: Mapping[str, Any], answer: Any) -> None:
        self._add((call, repr(answer)))

    def refused(self, call: ServiceCall, request: Mapping[str, Any], error: Exception) -> None:
        self._add((call, repr(getattr(error, "response", error))))

    def _add(self, event: object) -> None:
        runner = self._runner()
        if runner is not None and runner.is_counted:
            runner.calls = hash((runner.calls, event))

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

    def situation(self) -> _Situation:
        """Returns the present situation."""
        return _Situation(
            self._cloud_state(), tuple(_Progress(runner.calls, runner.is_done) for runner in self.runners)
        )

    def _cloud_state(self) -> int:
        cloud = self._backend.cloud
        tables = [sorted(table.items.items()) for table in cloud.store.tables.values()]
        return hash(
            (
                repr(tables),
                repr([message.body for message in cloud.queue]),
                repr(sorted(map(repr, cloud.events))),
                repr([(execution.name, execution.status) for execution in cloud.executions]),
                cloud.partner.state(),
            )
        )


def _equal_ids() -> Callable[[], uuid.UUID]:
    """Returns a `uuid4` that gives each actor other ids, and the same ids in every run."""
    counts: Counter[str] = Counter()

    def new_id() -> uuid.UUID:
        thread = threading.current_thread().name
        counts[thread] += 1
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{thread}, {counts[thread]}")

    return new_id


@dataclass
class Explored:
    """The size of an exploration."""

    sequences: int = 0  # run to an end of their own
    situations: int = 0  # distinct, without the ends


class _Exploration:
    """What is known of the situations and steps of a setting."""

    def __init__(self, setting: Callable[[], Setting], check: Callable[[MemoryBackend], object]) -> None:
        self._setting = setting
        self._check = check
        self._steps: dict[tuple[int, int, _Progress], tuple[int, _Progress]] = {}
        self._checked_states: set[int] = set()
        self._checked_ends: set[_Situation] = set()

    def explore(self) -> Explored:
        """Visits every situation, those after the fewest calls first, and runs only what is not known."""
        first = self._run(None)
        known = {first}
        waiting: deque[tuple[tuple[int, ...], _Situation]] = deque([((), first)])
        while waiting:
            sequence, situation = waiting.popleft()
            if not situation.alive() and situation not in self._checked_ends:
                self._run(situation, *sequence)
            for actor in situation.alive():
                if not self._is_known(situation, actor):
                    self._run(situation, *sequence, then=actor)
                following = self._after(situation, actor)
                if following not in known:
                    known.add(following)
                    waiting.append(((*sequence, actor), following))
        return Explored(len(self._checked_ends), len(known) - len(self._checked_ends))

    def _is_known(self, situation: _Situation, actor: int) -> bool:
        return (situation.state, actor, situation.progress[actor]) in self._steps

    def _after(self, situation: _Situation, actor: int) -> _Situation:
        """Returns the situation after a known step."""
        state, progress = self._steps[situation.state, actor, situation.progress[actor]]
        before = situation.progress
        return _Situation(state, (*before[:actor], progress, *before[actor + 1 :]))

    def _run(self, expected: _Situation | None, *sequence: int, then: int | None = None) -> _Situation:
        """Runs a sequence to a situation, then one actor's step, and then to an end. Returns the situation.

        Raises AssertionError if the sequence does not reach the expected situation.
        """
        with ExitStack() as stack:
            stack.enter_context(patch("uuid.uuid4", _equal_ids()))
            backend, actors = self._setting()
            stack.enter_context(installed(backend))
            turns = _Turns(backend, actors)
            backend.cloud.hook = turns
            turns.start()
            taken: list[int] = []
            try:
                for actor in sequence:
                    turns.step(actor)
                    taken.append(actor)
                first = situation = turns.situation()
                assert expected in {None, situation}, "the course depends on more than the situation"
                self._check_state(situation, backend)
                while alive := situation.alive():
                    new = [actor for actor in alive if not self._is_known(situation, actor)]
                    actor, then = (new or alive)[0] if then is None else then, None
                    turns.step(actor)
                    taken.append(actor)
                    following = turns.situation()
                    step = situation.state, actor, situation.progress[actor]
                    self._steps[step] = following.state, following.progress[actor]
                    situation = following
                    self._check_state(situation, backend)
                if situation not in self._checked_ends:
                    self._checked_ends.add(situation)
                    backend.cloud.hook = Hook()
                    self._check(backend)
            except BaseException as error:
                error.add_note(f"in the sequence {taken}")
                raise
            finally:
                turns.drop()
        return first

    def _check_state(self, situation: _Situation, backend: MemoryBackend) -> None:
        if situation.state not in self._checked_states:
            self._checked_states.add(situation.state)
            check_invariants(backend)


def explore(setting: Callable[[], Setting], check: Callable[[MemoryBackend], object]) -> Explored:
    """Visits all situations that some sequence reaches, and checks the invariants in each.

    `setting` makes a new backend and its actors; `check` checks each final situation.
    """
    return _Exploration(setting, check).explore()
