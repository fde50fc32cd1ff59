"""`BackendCall` and `CallLog`: a call that is started, watched and judged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import anyio

from dp_core._errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    PromiseDisposedError,
)
from dp_core._text import quoted
from dp_core.testing.kit._history import Span, render
from dp_core.testing.kit._report import LawBrokenError
from dp_core.testing.kit._results import (
    CANCELLED,
    DISPOSED,
    RUNNING,
    CallResult,
    Given,
    check_result,
    shown,
)
from dp_core.testing.kit._run import Tempo
from dp_core.testing.kit._stepping import LoopBlockedError, Schedule, step_through

__all__ = ["BackendCall", "CallLog"]

_PROMPT: Final = ("peek", "settle", "dispose", "create", "info")
"""Operations that wait for nobody: their durations make the tempo."""


_AWAY: Final = (BackendUnavailableError, OutcomeUnknownError)


class CallLog:
    """
    All calls of one law, in order.

    Attributes:
        patience: How long a call may take, in seconds.
        tempo: How long calls take.
        blocked: The error of the first call that blocked the event loop. After
            it no more calls are made, because most of them would block as well.
        ran_out: Whether patience ran out with anything. On a slow machine it may.
        was_away: Whether a call said that the store could not be used just then.
    """

    def __init__(self, patience: float, tempo: Tempo | None = None) -> None:
        self.patience = patience
        self.tempo = tempo or Tempo()
        self.blocked: LoopBlockedError | None = None
        self.ran_out = False
        self.was_away = False
        self._calls: defaultdict[str, list[BackendCall]] = defaultdict(list)
        self._notes: list[Span] = []
        self._now = 0

    def tick(self) -> int:
        """Return the next moment of a logical clock; no two are equal."""
        self._now += 1
        return self._now

    def add(self, call: BackendCall) -> None:
        """Add a call that begins now."""
        self._calls[call.id].append(call)

    def note(self, text: str) -> None:
        """Add a line about something that is not a call."""
        moment = self.tick()
        self._notes.append(Span(moment, moment, text))

    def lines(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return the history of the promises *ids*, one line an event."""
        calls = self.calls_on(*ids)
        first = min((call.began for call in calls), default=0)
        notes = [note for note in self._notes if note.began > first]
        return render([*notes, *(call.span() for call in calls)])

    def calls_on(self, *ids: str) -> list[BackendCall]:
        """Return the calls on the promises *ids* so far."""
        return [call for id in ids for call in self._calls[id]]

    def broken(self, reason: str, *ids: str) -> LawBrokenError:
        """Return the error that gives *reason*, with the history of *ids*."""
        return LawBrokenError(reason, self.lines(ids))


class BackendCall:
    """
    A call to a method of a backend, running in a task of its own.

    Args:
        log: Where the call is noted.
        caller: The name of the handle, for the history.
        operation: The name of the method.
        id: The promise.
        given: What it is given besides an id.
        schedule: What happens at its checkpoints.

    Attributes:
        result: How it ended; `RUNNING` before that.
        returned: What the method returned, unchecked.
        began: The moment when it was made; 0 before that.
        ended: The moment when it ended; 0 before that.
    """

    def __init__(  # noqa: PLR0913 - a call has that many parts
        self,
        log: CallLog,
        caller: str,
        operation: str,
        *,
        id: str = "",
        given: Given | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        self.caller = caller
        self.id = id
        self.operation = operation
        self.given = given
        self.result: CallResult = RUNNING
        self.returned: Any = None
        self.began = 0
        self.ended = 0
        self._log = log
        self._schedule = schedule or Schedule()
        self._over = anyio.Event()

    def __str__(self) -> str:
        id = quoted(self.id, 60) if self.id else ""
        given = shown(self.given) if self.given is not None else ""
        both = ", ".join(part for part in (id, given) if part)
        return f"{self.caller}.{self.operation}({both})"

    def span(self) -> Span:
        """Return the call as a part of a history."""
        return Span(self.began, self.ended or math.inf, str(self), shown(self.result))

    async def run(self, method: Callable[[], Awaitable[Any]]) -> None:
        """Make the call and keep its result."""
        if self._log.blocked and self.operation != "aclose":
            self.result = self._log.blocked
            self._over.set()
            return
        self.began = self._log.tick()
        self._log.add(self)
        result: CallResult = CANCELLED
        started = anyio.current_time()
        try:
            with self._schedule.scope:
                try:
                    self.returned = await step_through(_call(method), self._schedule)
                    result = check_result(self.operation, self.returned)
                except PromiseDisposedError as error:
                    result = DISPOSED if self.operation == "wait" else error
                except LoopBlockedError as error:
                    result = self._log.blocked = error
                    self._log.ran_out = True
                except BaseException as error:
                    if _ends_the_kit(error):
                        raise
                    result = error
                    if isinstance(error, _AWAY):
                        self._log.was_away = True
        except RuntimeError:
            # An abandoned coroutine may have left cancel scopes open.
            if not self._schedule.abandoned:
                raise
        finally:
            self.result = result
            self.ended = self._log.tick()
            self._over.set()
            if self.operation in _PROMPT and self._schedule.is_plain:
                self._log.tempo.add(anyio.current_time() - started)

    # For laws ---------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, in whatever way."""
        return self._over.is_set()

    @property
    def is_held(self) -> bool:
        """Whether the call is, or was, held at the checkpoint of its schedule."""
        return self._schedule.was_held

    @property
    def failed(self) -> bool:
        """Whether the call raised an error that no law asks for."""
        return isinstance(self.result, BaseException)

    @property
    def was_cancelled(self) -> bool:
        """Whether anybody asked the call to stop."""
        return self._schedule.scope.cancel_called

    @property
    def reached(self) -> bool:
        """Whether the call came to the checkpoint where it was to be cancelled."""
        return self._schedule.cancel_was_reached

    def release(self) -> None:
        """Let a held call go on."""
        self._schedule.release()

    def cancel(self) -> None:
        """Ask the call to stop; a held one goes on until its next checkpoint."""
        self._schedule.scope.cancel()
        self._schedule.release()

    def abandon(self) -> None:
        """Take the call off the loop although it does not stop."""
        self._schedule.abandoned = True
        self.cancel()

    async def over_within(self, seconds: float) -> bool:
        """
        Wait for the end of the call; return whether it came.

        Time in which the loop did not turn (a stopped process, a starved
        machine) does not count.
        """
        turn = min(0.1, seconds / 10)
        for _ in range(round(seconds / turn)):
            if self._over.is_set():
                break
            with anyio.move_on_after(turn):
                await self._over.wait()
        if not self._over.is_set() and seconds >= self._log.patience:
            self._log.ran_out = True
        return self._over.is_set()

    async def ends(self, *besides: str) -> CallResult:
        """
        Return the result of the call, which must end in time and without error.

        Args:
            *besides: Other ids whose history matters.

        Raises:
            LawBrokenError: The call does not end in time, or raises an error.
        """
        patience = self._log.patience
        started = anyio.current_time()
        if not await self.over_within(patience):
            raise self._log.broken(
                f"{self} did not end within {patience:g} s", self.id, *besides
            )
        if self.failed:
            raise self._log.broken(
                f"{self} raised {shown(self.result)}", self.id, *besides
            )
        self._log.tempo.waited(anyio.current_time() - started)
        return self.result

    async def gives(
        self, *allowed: CallResult, besides: Iterable[str] = ()
    ) -> CallResult:
        """
        Return the result of the call, which must be one of *allowed*.

        Args:
            *allowed: The results that the law allows.
            besides: Other ids whose history matters.

        Raises:
            LawBrokenError: The call has another result.
        """
        result = await self.ends(*besides)
        if result not in allowed:
            wanted = " or ".join(dict.fromkeys(map(shown, allowed)))
            raise self._log.broken(
                f"{self} gave {shown(result)}, not {wanted}", self.id, *besides
            )
        return result

    async def raises(self, kind: type[Exception]) -> None:
        """
        Check that the call ends in time, with an error of *kind*.

        Raises:
            LawBrokenError: It does not end, or ends otherwise.
        """
        patience = self._log.patience
        if not await self.over_within(patience):
            raise self._log.broken(f"{self} did not end within {patience:g} s", self.id)
        if not isinstance(self.result, kind):
            raise self._log.broken(
                f"{self} gave {shown(self.result)}, not {kind.__name__}", self.id
            )


async def _call(method: Callable[[], Awaitable[Any]]) -> Any:
    return await method()


def _ends_the_kit(error: BaseException) -> bool:
    """Return whether *error* is not a result, but ends the kit's own work."""
    if isinstance(error, anyio.get_cancelled_exc_class()):
        # On asyncio a backend can raise it by itself: was anything cancelled?
        return anyio.current_effective_deadline() == -math.inf
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
