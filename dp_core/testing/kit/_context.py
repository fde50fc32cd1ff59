"""`LawContext`: a law's handles on the store, its fresh ids, and its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from inspect import isawaitable
from random import Random
from secrets import token_hex
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from dp_core._states import Outcome, Resolved
from dp_core._terms import PromiseInfo, Query, Terms
from dp_core.backend import Backend
from dp_core.testing.kit._backend_calls import BackendCall, CallLog
from dp_core.testing.kit._report import LawBrokenError, NotJudgedError
from dp_core.testing.kit._results import Given
from dp_core.testing.kit._run import ConformanceRun
from dp_core.testing.kit._stepping import Schedule

__all__ = ["LawContext", "StoreHandle"]

_TURNS: Final = 40
_GRACE: Final = (0.002, 0.03)
_CALLS_OF_GRACE: Final = 5
_MAX_STEPS: Final = 12


class StoreHandle:
    """
    One handle on the store under test.

    Every method starts a call and returns it at once; ``await call.gives(…)``
    judges its result. A call that nobody awaits goes on by itself. Keyword
    arguments are those of `Schedule`.

    Args:
        context: Where its calls run.
        name: Its name in histories.
        backend: The backend's own handle.
    """

    def __init__(self, context: LawContext, name: str, backend: Backend) -> None:
        self.name = name
        self.backend = backend
        self._context = context

    def peek(self, id: str, **schedule: Any) -> BackendCall:
        """Start a peek."""
        return self._start("peek", id, schedule)

    def settle(self, id: str, outcome: Outcome[bytes], **schedule: Any) -> BackendCall:
        """Start to settle with *outcome*."""
        return self._start("settle", id, schedule, outcome)

    def wait(self, id: str, **schedule: Any) -> BackendCall:
        """Start to wait."""
        return self._start("wait", id, schedule)

    def dispose(self, id: str, **schedule: Any) -> BackendCall:
        """Start to dispose of a promise."""
        return self._start("dispose", id, schedule)

    def create(self, id: str, terms: Terms[bytes], **schedule: Any) -> BackendCall:
        """Start to give a promise its *terms*."""
        return self._start("create", id, schedule, terms)

    def info(self, id: str, **schedule: Any) -> BackendCall:
        """Start to ask for all that is known about a promise."""
        return self._start("info", id, schedule)

    async def known(self, id: str) -> PromiseInfo[bytes]:
        """Return all that is known about a promise, once it was asked for."""
        call = self.info(id)
        await call.ends()
        info: PromiseInfo[bytes] = call.returned
        return info

    def list(self, query: Query, after: str | None, limit: int) -> BackendCall:
        """Start to list a page of promises."""
        call = BackendCall(self._context.log, self.name, "list", given=query)
        listing: Any = self.backend
        self._context.start(call, lambda: listing.list(query, after, limit))
        return call

    def aclose(self, **schedule: Any) -> BackendCall:
        """Start to close the handle."""
        log, plan = self._context.log, Schedule(**schedule)
        call = BackendCall(log, self.name, "aclose", schedule=plan)
        self._context.start(call, self.backend.aclose)
        return call

    def _start(
        self, operation: str, id: str, schedule: Any, given: Given | None = None
    ) -> BackendCall:
        call = BackendCall(
            self._context.log,
            self.name,
            operation,
            id=id,
            given=given,
            schedule=Schedule(**schedule),
        )
        method = getattr(self.backend, operation)
        arguments = (id,) if given is None else (id, given)
        self._context.start(call, lambda: method(*arguments))
        return call


class LawContext:
    """
    Everything that a law gets to work with.

    Attributes:
        run: State that all laws of the run share.
        random: Random choices of this law, the same for the same seed.
        log: All calls of the law.
    """

    def __init__(self, run: ConformanceRun, law: str, tasks: TaskGroup) -> None:
        self.run = run
        self.random = Random(f"{run.seed} {law}")  # noqa: S311 - repeatable
        self.log = CallLog(run.patience, run.tempo)
        # Not from the seed: a run may be repeated on the same store.
        self._prefix = token_hex(5)
        self._ids = 0
        self._names = 0
        self._tasks = tasks
        self._calls: list[BackendCall] = []
        self._open: list[StoreHandle] = []

    # Handles ----------------------------------------------------------------

    async def open(self) -> StoreHandle:
        """Return another handle on the store."""
        return (await self.open_at_once(1))[0]

    async def open_at_once(self, number: int) -> list[StoreHandle]:
        """Return *number* more handles, opened at the same time."""
        calls = []
        for _ in range(number):
            name = chr(ord("a") + self._names % 26) + str(self._names // 26 or "")
            self._names += 1
            calls.append(BackendCall(self.log, name, "open"))
            self.start(calls[-1], self._open_backend)
        await self.all_over(calls, self.log.patience)
        # Remember all that opened before an error of one that did not is raised:
        # they have to be closed.
        opened = [
            StoreHandle(self, call.caller, call.returned)
            for call in calls
            if call.is_over and not call.failed
        ]
        self._open += opened
        for call in calls:
            await call.ends()
            self.log.note(f"{call.caller} = open_backend()")
        return opened

    async def pair(self) -> tuple[StoreHandle, StoreHandle]:
        """Return two handles; the same one twice where handles are not shared."""
        first = await self.open()
        return first, (await self.open() if self.run.shared else first)

    async def close(self) -> None:
        """Close all handles that are open."""
        while self._open:
            await self._open.pop().aclose().ends()

    async def reopen(self) -> StoreHandle:
        """Close all handles, and return a new one."""
        await self.close()
        self.log.note("(all handles closed)")
        return await self.open()

    async def _open_backend(self) -> Backend:
        opened = self.run.open_backend()
        return await opened if isawaitable(opened) else opened

    # Ids --------------------------------------------------------------------

    def id(self, tail: str = "", head: str = "") -> str:
        """Return an id that was never used, with *tail* after and *head* before it."""
        self._ids += 1
        return f"{head}{self._prefix}-{self._ids}{tail}"

    # Calls ------------------------------------------------------------------

    def start(self, call: BackendCall, method: Callable[[], Awaitable[Any]]) -> None:
        """Run *call*, of *method*, in a task of its own."""
        self._calls.append(call)
        self._tasks.start_soon(call.run, method)

    async def rest(self, *calls: BackendCall) -> None:
        """
        Give calls the time to end, to be held, or to begin to wait.

        A verdict must not depend on it: on a slow machine a call may still be
        on its way.
        """
        least, most = _GRACE
        grace = min(max(least, _CALLS_OF_GRACE * self.run.tempo.seconds), most)
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
        turn = min(0.1, self.log.patience / 10)
        for _ in range(round(self.log.patience / turn)):
            if is_so():
                break
            await anyio.sleep(turn)
        if not (so := is_so()):
            self.log.ran_out = True
        return so

    async def turns(self, number: int) -> None:
        """Let the event loop turn *number* times."""
        for _ in range(number):
            await checkpoint()

    async def seem_dead(self) -> None:
        """Let so much time pass that a held call might be taken for dead."""
        await self.turns(100)
        await anyio.sleep(0.05)

    def steps(self) -> Iterator[int]:
        """Return the checkpoints to try, from 1 up to a limit."""
        return iter(range(1, _MAX_STEPS + 1))

    def broken(self, reason: str, *ids: str) -> LawBrokenError:
        """Return the error that ends the law, with the history of *ids*."""
        return self.log.broken(reason, *ids)

    def not_judged(self, reason: str) -> NotJudgedError:
        """
        Return the error that ends the law where it can neither hold nor be broken.

        Where that may be for want of patience, the law is tried again with all of it;
        else the report says *reason*, and that the law was not judged.
        """
        return NotJudgedError(f"not judged: {reason}")

    async def clean_up(self) -> None:
        """
        End all calls and close all handles, whatever state they are in.

        A call that ignores its cancellation first gets the outcome for which
        it may be waiting, and is then taken off the loop.
        """
        for act in (self._cancel, self._settle, self._abandon):
            left = [call for call in self._calls if not call.is_over]
            act(left)
            await self.all_over(left, min(1.0, self.run.patience))
        closing = [handle.aclose() for handle in self._open]
        await self.all_over(closing, self.run.patience)
        self._abandon(closing)

    async def all_over(self, calls: list[BackendCall], seconds: float) -> None:
        """Wait for the end of all *calls*, for *seconds* at most."""
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(call.over_within, seconds)

    def _cancel(self, calls: list[BackendCall]) -> None:
        for call in calls:
            call.cancel()

    def _settle(self, calls: list[BackendCall]) -> None:
        for id in {call.id for call in calls if call.operation == "wait"}:
            for handle in self._open[:1]:
                handle.settle(id, Resolved(b"null"))

    def _abandon(self, calls: list[BackendCall]) -> None:
        for call in calls:
            call.abandon()
