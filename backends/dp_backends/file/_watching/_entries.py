"""
`Entry`: a promise with those who wait for it, and the time of the next look at it.

A failure that may pass ends no wait: whoever waits looks again after a pause.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import uniform
from typing import Final, Protocol, TypeAlias, final

from dp_backends.file._layout import Place
from dp_backends.file._read_batcher import Finding
from dp_backends.file._reading import Known, View
from dp_backends.file._store import FileStore
from dp_core import (
    AccessDeniedError,
    BackendError,
    CorruptPromiseError,
    Outcome,
    Pending,
    PromiseDisposedError,
)
from dp_core.backend import Follower, Watch, Watched

__all__ = ["Entry", "Leads", "WaitRequest", "Waiter", "WatchRequest", "WatchStats"]

_FAILING: Final = (0.05, 1.0)
"""First and longest pause after a look that failed, and may succeed again."""


class Leads(Protocol):
    """A doer of the work of those who wait, in the task of one of them."""

    async def work(self) -> None:
        """Do one round of it."""


@dataclass(eq=False, slots=True)
class WaitRequest:
    """
    One call of `StoreWaits.wait`.

    Attributes:
        watcher: Whose call it is. Were it known to the group of waiters instead,
            that would be a reference cycle, and the inotify instance of an event
            loop that has ended would stay until the garbage collector runs.
        since: The number of the last look that began before the call.
        has_joined: Whether a look has counted for it: it knows the entry's generation.
    """

    watcher: Leads
    since: int
    has_joined: bool = False

    def join(self) -> None:
        """Note that a look counts."""
        self.has_joined = True


@final
@dataclass(eq=False, slots=True)
class WatchRequest(WaitRequest):
    """
    A wait that is one of a watch.

    Attributes:
        watch: The watch.
    """

    watch: Watch = field(kw_only=True)

    def join(self) -> None:
        WaitRequest.join(self)
        self.watch.see()


Waiter: TypeAlias = Follower[WaitRequest, Outcome[bytes]] | Watched[WaitRequest]


@dataclass(eq=False, slots=True)
class Entry:
    """
    A promise with waiters, all of one handle: another's may fail alone.

    Attributes:
        is_watched: Whether the kernel reports changes of its directory.
        watched: The store's directory in which it is, as far as that is known.
        due: When the next look is due.
        generation: The generation that the last look found.
        known: What is known of it, if it was pending and its deadline is not over.
        failures: How many looks in a row have failed.
        waiters: Those who wait.
    """

    store: FileStore
    place: Place
    is_watched: bool
    watched: tuple[int, int] | None = None
    due: float = math.inf
    generation: str | None = None
    known: Known | None = None
    failures: int = 0
    waiters: Waiter | dict[Waiter, None] | None = None

    def all_waiters(self) -> tuple[Waiter, ...]:
        """Return those who wait, in the order in which they came."""
        if self.waiters is None:
            return ()
        return (
            tuple(self.waiters) if isinstance(self.waiters, dict) else (self.waiters,)
        )

    def add(self, waiter: Waiter) -> None:
        """Let one wait."""
        if self.waiters is None:
            # One that is alone has no container, which would be larger than itself.
            self.waiters = waiter
        elif isinstance(self.waiters, dict):
            self.waiters[waiter] = None
        else:
            self.waiters = {self.waiters: None, waiter: None}

    def discard(self, waiter: Waiter) -> None:
        """Let one wait no longer."""
        if isinstance(self.waiters, dict):
            self.waiters.pop(waiter, None)
            if not self.waiters:
                self.waiters = None
        elif self.waiters is waiter:  # pragma: no branch - nobody leaves twice
            self.waiters = None

    def apply(self, finding: Finding | Known, look: int) -> None:
        """
        Let the waiters know the result of a look.

        It does not count for those that joined while it was under way: it may have
        seen a generation that was disposed of before they came.
        """
        if isinstance(finding, Exception) and may_pass(self.store, finding):
            self.failures += 1
            return
        self.failures = 0
        waiters = self.all_waiters()
        ready = [
            waiter
            for waiter in waiters
            if not waiter.request.has_joined and waiter.request.since < look
        ]
        if isinstance(finding, View):
            # For those who knew another generation.
            if finding.generation != self.generation:
                self._fail(waiters, PromiseDisposedError(self.place.id))
                self.generation = finding.generation
            self.known = finding.known
        for waiter in ready:
            waiter.request.join()
        if isinstance(finding, Exception):
            self.known = None
            self._fail(waiters, finding)
        elif isinstance(finding, View) and not isinstance(finding.state, Pending):
            for waiter in waiters:
                if waiter.request.has_joined:
                    waiter.set_result(finding.state)

    def pause_after_failure(self) -> float:
        """Return how long to wait before a look that failed is repeated, in seconds."""
        first, longest = _FAILING
        pause = min(longest, first * 2.0 ** min(self.failures - 1, 30))
        return pause * uniform(0.75, 1.0)  # noqa: S311 - spreads load, no secret

    def _fail(self, waiters: Iterable[Waiter], error: Exception) -> None:
        for waiter in waiters:
            if waiter.request.has_joined:
                waiter.set_exception(error)


@final
@dataclass(frozen=True, slots=True)
class WatchStats:
    """
    The size of a `Watcher`, for tests and for the curious.

    Attributes:
        promises: The promises waited for, counted once for each handle.
        joined: The waiters for whom no look has counted yet.
        waiting: The waiters that know that their promise is pending.
        directories: The directories in which these promises are.
        watched: Those of them that the kernel watches.
    """

    promises: int
    joined: int
    waiting: int
    directories: int
    watched: int


def may_pass(store: FileStore, error: Exception) -> bool:
    """
    Tell whether a look that failed may succeed if it is repeated.

    Damage stays. Of what is wrong with a store, more may pass if it was right before:
    a disk that is away leaves a directory that is empty, or of somebody else.
    """
    if isinstance(error, CorruptPromiseError) or not isinstance(error, BackendError):
        return False
    if store.is_open:
        return True
    cause = error.__cause__
    return (
        isinstance(cause, OSError)
        and not isinstance(error, AccessDeniedError)
        and cause.errno != errno.ENOTDIR
    )
