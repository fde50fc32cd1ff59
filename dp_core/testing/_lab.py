"""Where a law is tried: handles on the store, fresh ids, and bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from inspect import isawaitable
from random import Random
from secrets import token_hex
from typing import Any, Final, TypeAlias, Union, final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from dp_core._states import Outcome, Resolved
from dp_core.backend import Backend
from dp_core.testing._calls import Call, Pace, Record
from dp_core.testing._drive import Plan
from dp_core.testing._report import LawBrokenError

__all__ = ["Effort", "Handle", "Lab", "OpenBackend", "Run"]

OpenBackend: TypeAlias = Callable[[], Union[Backend, Awaitable[Backend]]]
"""Opens another handle on the store under test."""

_TURNS: Final = 40
_GRACE: Final = (0.002, 0.03)
_PACES: Final = 5
_MAX_STEPS: Final = 12


@final
@dataclass(frozen=True, slots=True)
class Effort:
    """
    How much is done to break a law.

    Attributes:
        histories: How many concurrent histories are recorded and checked.
        crowd: How many waiters there are where there are many.
        volume: How many promises there are where there are many.
        linger: How long a promise is left alone, in seconds.
        patience: How long any call may take, in seconds.
    """

    histories: int = 60
    crowd: int = 256
    volume: int = 1100
    linger: float = 5.5
    patience: float = 10.0


@dataclass(slots=True)
class Run:
    """
    What the laws of one run share.

    Attributes:
        open_backend: Opens another handle on the store.
        durable: Whether what was acknowledged outlives all handles.
        shared: Whether two handles see each other.
        seed: Decides every random choice.
        effort: How much is done.
        patience: How long a call may take from now on, in seconds.
        checked: How many histories were checked so far.
        pace: How long calls take.
    """

    open_backend: OpenBackend
    durable: bool
    shared: bool
    seed: int
    effort: Effort
    patience: float
    checked: int = 0
    pace: Pace = field(default_factory=Pace)


class Handle:
    """
    One handle on the store under test.

    Every method starts a call and returns it at once; ``await call.tells(…)``
    judges what it comes to. A call nobody awaits just runs on.
    """

    def __init__(self, lab: Lab, name: str, backend: Backend) -> None:
        self.name = name
        self.backend = backend
        self._lab = lab

    def peek(self, id: str, **plan: Any) -> Call:
        return self._start("peek", id, None, plan)

    def settle(self, id: str, outcome: Outcome[bytes], **plan: Any) -> Call:
        return self._start("settle", id, outcome, plan)

    def wait(self, id: str, **plan: Any) -> Call:
        return self._start("wait", id, None, plan)

    def dispose(self, id: str, **plan: Any) -> Call:
        return self._start("dispose", id, None, plan)

    def aclose(self, **plan: Any) -> Call:
        call = Call(self._lab.record, self.name, "aclose", plan=Plan(**plan))
        self._lab.start(call, self.backend.aclose)
        return call

    def _start(
        self, operation: str, id: str, given: Outcome[bytes] | None, plan: Any
    ) -> Call:
        call = Call(
            self._lab.record,
            self.name,
            operation,
            id=id,
            given=given,
            plan=Plan(**plan),
        )
        method = getattr(self.backend, operation)
        arguments = (id,) if given is None else (id, given)
        self._lab.start(call, lambda: method(*arguments))
        return call


class Lab:
    """
    What one law is given to work with.

    Attributes:
        run: What all laws of the run share.
        random: Random choices of this law, the same for the same seed.
        record: What the law did.
    """

    def __init__(self, run: Run, law: str, tasks: TaskGroup) -> None:
        self.run = run
        self.random = Random(f"{run.seed} {law}")  # noqa: S311 - repeatable
        self.record = Record(run.patience, run.pace)
        # Not the seed's: whoever repeats a run may do it on the same store.
        self._prefix = token_hex(5)
        self._ids = 0
        self._names = 0
        self._tasks = tasks
        self._calls: list[Call] = []
        self._open: list[Handle] = []

    # Handles ----------------------------------------------------------------

    async def open(self) -> Handle:
        """Return another handle on the store."""
        return (await self.open_at_once(1))[0]

    async def open_at_once(self, number: int) -> list[Handle]:
        """Return so many more handles, opened at the same time."""
        calls = []
        for _ in range(number):
            name = chr(ord("a") + self._names % 26) + str(self._names // 26 or "")
            self._names += 1
            calls.append(Call(self.record, name, "open"))
            self.start(calls[-1], self._open_backend)
        await self.all_over(calls, self.record.patience)
        # All that opened is known before one that did not is told of.
        opened = [
            Handle(self, call.who, call.returned)
            for call in calls
            if call.is_over and not call.failed
        ]
        self._open += opened
        for call in calls:
            await call.ends()
            self.record.note(f"{call.who} = open_backend()")
        return opened

    async def pair(self) -> tuple[Handle, Handle]:
        """Return two handles; twice the same where handles are not shared."""
        first = await self.open()
        return first, (await self.open() if self.run.shared else first)

    async def close(self) -> None:
        """Close all handles that are open."""
        while self._open:
            await self._open.pop().aclose().ends()

    async def reopen(self) -> Handle:
        """Return a new handle after closing all there were."""
        await self.close()
        self.record.note("(all handles closed)")
        return await self.open()

    async def _open_backend(self) -> Backend:
        opened = self.run.open_backend()
        return await opened if isawaitable(opened) else opened

    # Ids --------------------------------------------------------------------

    def id(self, tail: str = "", head: str = "") -> str:
        """Return an id nobody has named yet."""
        self._ids += 1
        return f"{head}{self._prefix}-{self._ids}{tail}"

    # Calls ------------------------------------------------------------------

    def start(self, call: Call, method: Callable[[], Awaitable[Any]]) -> None:
        self._calls.append(call)
        self._tasks.start_soon(call.run, method)

    async def rest(self, *calls: Call) -> None:
        """
        Give calls the time to end, to be held, or to come to rest.

        No verdict hangs on it: on a slow machine a call may still be busy.
        """
        least, most = _GRACE
        grace = min(max(least, _PACES * self.run.pace.seconds), most)
        until = anyio.current_time() + grace
        turns = 0
        while not all(call.is_over or call.is_held for call in calls):
            if turns < _TURNS:
                await checkpoint()
            elif anyio.current_time() < until:
                await anyio.sleep(least)
            else:
                return
            turns += 1

    async def until(self, is_so: Callable[[], bool]) -> bool:
        """Wait until *is_so*, for as long as a call may take; return whether it is."""
        turn = min(0.1, self.record.patience / 10)
        for _ in range(round(self.record.patience / turn)):
            if is_so():
                break
            await anyio.sleep(turn)
        return is_so()

    async def turns(self, number: int) -> None:
        """Let the event loop turn *number* times."""
        for _ in range(number):
            await checkpoint()

    async def pass_for_dead(self) -> None:
        """Let a held call be held for so long that it might be taken for dead."""
        await self.turns(100)
        await anyio.sleep(0.05)

    def steps(self) -> Iterator[int]:
        """Count checkpoints, as far as it makes sense."""
        return iter(range(1, _MAX_STEPS + 1))

    def broken(self, reason: str, *ids: str) -> LawBrokenError:
        """Return the error that says that the law does not hold."""
        return self.record.broken(reason, *ids)

    async def clean_up(self) -> None:
        """
        End all calls and close all handles, whatever state they are in.

        A call that does not heed its cancellation is first given what it may
        be waiting for, and then taken off the loop.
        """
        for act in (self._cancel, self._release, self._give_up):
            left = [call for call in self._calls if not call.is_over]
            act(left)
            await self.all_over(left, min(1.0, self.run.patience))
        closing = [handle.aclose() for handle in self._open]
        await self.all_over(closing, self.run.patience)
        self._give_up(closing)

    async def all_over(self, calls: list[Call], seconds: float) -> None:
        """Wait for the end of all *calls*, or for *seconds*."""
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(call.over_within, seconds)

    def _cancel(self, calls: list[Call]) -> None:
        for call in calls:
            call.cancel()

    def _release(self, calls: list[Call]) -> None:
        for id in {call.id for call in calls if call.operation == "wait"}:
            for handle in self._open[:1]:
                handle.settle(id, Resolved(b"null"))

    def _give_up(self, calls: list[Call]) -> None:
        for call in calls:
            call.give_up()
