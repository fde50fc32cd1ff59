"""
`Entry`: a promise with those who wait for it, and the time of the next look at it.

A failure that may pass ends no wait: whoever waits looks again after a pause.
"""

from __future__ import annotations

import errno
import math
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
from dp_core.backend import Follower

__all__ = ["Entry", "Leads", "WaitRequest", "Waiter"]

_NET: Final = (1.0, 5.0)
"""First and longest pause between looks, in seconds, where the kernel reports."""

_NET_LOOKS: Final = 200
"""The most looks of that kind in a second: of many, each has longer pauses."""

_ALONE: Final = (0.01, 0.25)
"""The same where it does not: no inotify, no watch left, a remote disk."""

_FAILING: Final = (0.05, 1.0)
"""The same after a look that failed, and may succeed again."""


class Leads(Protocol):
    """A doer of the work of those who wait, in the task of one of them."""

    async def work(self) -> None:
        """Do one round of it."""


@final
@dataclass(frozen=True, slots=True)
class WaitRequest:
    """
    One call of `Watcher.wait`.

    Attributes:
        watcher: Whose call it is. Were it known to the group of waiters instead,
            that would be a reference cycle, and the inotify instance of an event
            loop that has ended would stay until the garbage collector runs.
        since: The number of the last look that began before the call.
    """

    watcher: Leads
    since: int


Waiter: TypeAlias = Follower[WaitRequest, Outcome[bytes]]


@dataclass(eq=False)
class Entry:
    """
    A promise with waiters, all of one handle: another's may fail alone.

    Attributes:
        is_watched: Whether the kernel reports changes of its directory.
        watched: The store's directory in which it is, as far as that is known.
        pauses: The kind of pauses between looks, see above.
        pause: The next of them, in seconds.
        due: When the next look is due.
        generation: The generation that the last look found.
        known: What is known of it, if it was pending and its deadline is not over.
        failures: How many looks in a row have failed.
        joined: The waiters for whom no look has counted yet.
        waiting: The waiters that know that *generation* is pending.
    """

    store: FileStore
    place: Place
    is_watched: bool
    watched: tuple[int, int] | None = None
    pauses: tuple[float, float] = (0.0, 0.0)
    pause: float = 0.0
    due: float = math.inf
    generation: str | None = None
    known: Known | None = None
    failures: int = 0
    joined: set[Waiter] = field(default_factory=set)
    waiting: set[Waiter] = field(default_factory=set)

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
        ready = {waiter for waiter in self.joined if waiter.request.since < look}
        self.joined -= ready
        if isinstance(finding, Known):
            self.waiting |= ready
            return
        self.known = finding.known if isinstance(finding, View) else None
        if isinstance(finding, Exception):
            self.waiting |= ready
            self._fail(finding)
            return
        if finding.generation != self.generation:
            self._fail(PromiseDisposedError(self.place.id))
            self.generation = finding.generation
        self.waiting |= ready
        if not isinstance(finding.state, Pending):
            for waiter in self.waiting:
                waiter.set_result(finding.state)
            self.waiting = set()

    def next_pause(self, crowd: int) -> float:
        """
        Return how long to wait before the next look, in seconds.

        Args:
            crowd: How many promises are waited for.
        """
        if self.failures:
            pauses = _FAILING
        else:
            reported = self.is_watched and not self.store.is_remote
            pauses = _NET if reported else _ALONE
        if pauses is not self.pauses:
            self.pauses, self.pause = pauses, pauses[0]
        # Pauses differ, to spread the load; those of many, who began at once, more.
        pause = self.pause * uniform(0.75, 1.0)  # noqa: S311 - not a secret
        if pauses is _NET:
            least = crowd / _NET_LOOKS
            pause = max(pause, uniform(least, 2 * least))  # noqa: S311 - nor this
        self.pause = min(self.pause * 2, pauses[1])
        return pause

    def _fail(self, error: Exception) -> None:
        for waiter in self.waiting:
            waiter.set_exception(error)
        self.waiting = set()


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
