"""One call to a backend: started, watched, and judged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias, Union, cast

import anyio

from dp_core._errors import PromiseDisposedError
from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._text import quoted
from dp_core.testing._drive import LoopBlockedError, Plan, drive
from dp_core.testing._report import LawBrokenError
from dp_core.testing._story import Span, tell

__all__ = [
    "CANCELLED",
    "DISPOSED",
    "DONE",
    "PENDING",
    "RUNNING",
    "Answer",
    "Call",
    "Pace",
    "Record",
    "shown",
]


class Word(Enum):
    """What a call came to, where it is no state of a promise."""

    RUNNING = "still running"
    CANCELLED = "cancelled"
    DISPOSED = "PromiseDisposedError"
    DONE = "done"


RUNNING, CANCELLED = Word.RUNNING, Word.CANCELLED
DISPOSED, DONE = Word.DISPOSED, Word.DONE
PENDING = Pending()

Answer: TypeAlias = Union[Pending, Outcome[bytes], Word, BaseException]
"""What a call came to: a state, a word, or the error it raised."""


class Pace:
    """
    How fast the store and the machine are.

    Attributes:
        seconds: How long a call takes that waits for nobody, of late.
        longest: How long a law had to wait for the end of a call at most.
    """

    def __init__(self) -> None:
        self.seconds = 0.006
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        self.seconds += (seconds - self.seconds) / 8

    def waited(self, seconds: float) -> None:
        # It fades: one hiccup of the machine is forgotten after some laws.
        self.longest = max(seconds, self.longest * 0.999)


class Record:
    """
    What one law did, in order.

    Attributes:
        patience: How long a call may take, in seconds.
        pace: How long calls take.
        blocked: The error of the first call that blocked the event loop; after
            it no more calls are made, which most likely would do the same.
    """

    def __init__(self, patience: float, pace: Pace | None = None) -> None:
        self.patience = patience
        self.pace = pace or Pace()
        self.blocked: LoopBlockedError | None = None
        self._calls: defaultdict[str, list[Call]] = defaultdict(list)
        self._notes: list[Span] = []
        self._now = 0

    def tick(self) -> int:
        """Return the next moment: calls overlap, moments do not."""
        self._now += 1
        return self._now

    def add(self, call: Call) -> None:
        self._calls[call.id].append(call)

    def note(self, text: str) -> None:
        """Write down what happened besides calls."""
        moment = self.tick()
        self._notes.append(Span(moment, moment, text))

    def lines(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return what happened to the promises *ids*, one line each event."""
        calls = self.calls_on(*ids)
        first = min((call.began for call in calls), default=0)
        notes = [note for note in self._notes if note.began > first]
        return tell([*notes, *(call.span() for call in calls)])

    def calls_on(self, *ids: str) -> list[Call]:
        """Return the calls about the promises *ids* that were made so far."""
        return [call for id in ids for call in self._calls[id]]

    def broken(self, reason: str, *ids: str) -> LawBrokenError:
        """Return the error that says so, with the history of *ids*."""
        return LawBrokenError(reason, self.lines(ids))


def shown(answer: Answer | None) -> str:
    """Show what a call came to, or what it was given, on one short line."""
    match answer:
        case Resolved(value):
            return f"Resolved({_short(value)})"
        case Rejected(error):
            return f"Rejected({_short(error)})"
        case Word():
            return answer.value
        case BaseException():
            return f"{type(answer).__name__}: {quoted(str(answer), 200)}"
        case _:
            return repr(answer)


def _short(held: object) -> str:
    if isinstance(held, bytes | str) and len(held) > 80:
        return f"{held[:30]!r}… {len(held):,} long"
    return repr(held)


class Call:
    """
    A call to a backend, running on its own.

    Attributes:
        id: The promise it is about.
        operation: The name of the method.
        given: The outcome to settle with.
        answer: What it came to.
        began: When it was made; 0 before that.
        ended: When it was over; 0 before that.
    """

    def __init__(  # noqa: PLR0913 - a call has that many parts
        self,
        record: Record,
        who: str,
        operation: str,
        *,
        id: str = "",
        given: Outcome[bytes] | None = None,
        plan: Plan | None = None,
    ) -> None:
        self.who = who
        self.id = id
        self.operation = operation
        self.given = given
        self.answer: Answer = RUNNING
        self.returned: Any = None
        self.began = 0
        self.ended = 0
        self._record = record
        self._plan = plan or Plan()
        self._over = anyio.Event()

    def __str__(self) -> str:
        id = quoted(self.id, 60) if self.id else ""
        given = f", {shown(self.given)}" if self.given is not None else ""
        return f"{self.who}.{self.operation}({id}{given})"

    def span(self) -> Span:
        """Return the call as a part of a history."""
        return Span(self.began, self.ended or math.inf, str(self), shown(self.answer))

    async def run(self, method: Callable[[], Awaitable[Any]]) -> None:
        """Make the call and keep what it comes to."""
        if self._record.blocked and self.operation != "aclose":
            self.answer = self._record.blocked
            self._over.set()
            return
        self.began = self._record.tick()
        self._record.add(self)
        answer: Answer = CANCELLED
        started = anyio.current_time()
        try:
            with self._plan.scope:
                try:
                    self.returned = await drive(_call(method), self._plan)
                    answer = _answer(self.operation, self.returned)
                except PromiseDisposedError as error:
                    answer = DISPOSED if self.operation == "wait" else error
                except LoopBlockedError as error:
                    answer = self._record.blocked = error
                except BaseException as error:
                    if _is_for_us(error):
                        raise
                    answer = error
        except RuntimeError:
            # What was left where it stood may have left cancel scopes open.
            if not self._plan.given_up:
                raise
        finally:
            self.answer = answer
            self.ended = self._record.tick()
            self._over.set()
            if self.operation in _PROMPT and self._plan.is_plain:
                self._record.pace.add(anyio.current_time() - started)

    # What a law does with it ------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, one way or the other."""
        return self._over.is_set()

    @property
    def is_held(self) -> bool:
        """Whether the call is, or was, held at the checkpoint of its plan."""
        return self._plan.was_held

    @property
    def failed(self) -> bool:
        """Whether the call raised what no law asks for."""
        return isinstance(self.answer, BaseException)

    @property
    def was_cancelled(self) -> bool:
        """Whether anybody asked the call to stop."""
        return self._plan.scope.cancel_called

    @property
    def reached(self) -> bool:
        """Whether the call came to the checkpoint where it was to be cancelled."""
        return self._plan.cancel_was_reached

    def release(self) -> None:
        """Let a held call go on."""
        self._plan.release()

    def cancel(self) -> None:
        """Ask the call to stop; a held one goes on until its next checkpoint."""
        self._plan.scope.cancel()
        self._plan.release()

    def give_up(self) -> None:
        """Take the call off the loop although it does not stop."""
        self._plan.given_up = True
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
        return self._over.is_set()

    async def ends(self, *besides: str) -> Answer:
        """
        Return what the call comes to, in the time a call may take.

        Args:
            *besides: Other ids whose history matters.

        Raises:
            LawBrokenError: It does not end, or raises an error.
        """
        patience = self._record.patience
        started = anyio.current_time()
        if not await self.over_within(patience):
            raise self._record.broken(
                f"{self} did not end within {patience:g} s", self.id, *besides
            )
        if self.failed:
            raise self._record.broken(
                f"{self} raised {shown(self.answer)}", self.id, *besides
            )
        self._record.pace.waited(anyio.current_time() - started)
        return self.answer

    async def tells(self, *allowed: Answer, besides: Iterable[str] = ()) -> Answer:
        """
        Return what the call comes to, which must be one of *allowed*.

        Raises:
            LawBrokenError: It comes to something else.
        """
        answer = await self.ends(*besides)
        if answer not in allowed:
            wanted = " or ".join(dict.fromkeys(map(shown, allowed)))
            raise self._record.broken(
                f"{self} told {shown(answer)}, not {wanted}", self.id, *besides
            )
        return answer


async def _call(method: Callable[[], Awaitable[Any]]) -> Any:
    return await method()


def _is_for_us(error: BaseException) -> bool:
    """Say whether *error* is no answer, but ends the kit's own work."""
    if isinstance(error, anyio.get_cancelled_exc_class()):
        # On asyncio anybody can raise it; was anything cancelled?
        return anyio.current_effective_deadline() == -math.inf
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


_PROMPT = ("peek", "settle", "dispose")

_STATES: dict[str, tuple[type, ...]] = {
    "peek": (Pending, Resolved, Rejected),
    "settle": (Resolved, Rejected),
    "wait": (Resolved, Rejected),
}
_HELD: dict[type, tuple[str, type | None]] = {
    Pending: ("", None),
    Resolved: ("value", bytes),
    Rejected: ("error", str),
}


def _answer(operation: str, returned: Any) -> Answer:
    """Return what a method returned, or the error that it is nothing of ours."""
    if operation not in _STATES:
        return DONE
    if not isinstance(returned, _STATES[operation]):
        names = " or ".join(kind.__name__ for kind in _STATES[operation])
        return TypeError(f"returned {_short(returned)}, which is no {names}")
    held, kind = _HELD[type(returned)]
    if kind and type(getattr(returned, held)) is not kind:
        return TypeError(f"{returned!r}: its {held} is no {kind.__name__}")
    return cast("Answer", returned)
