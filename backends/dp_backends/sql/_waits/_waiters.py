"""`WaitCall`, `Waiter`: who waits for a promise, and for which generation of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, final

from dp_core import Outcome
from dp_core.backend import Follower, Watch, Watched

__all__ = ["LeadsWaits", "WaitCall", "Waiter", "WatchedCall"]


class LeadsWaits(Protocol):
    """A doer of the work of those who wait, in the task of one of them."""

    async def work(self) -> None:
        """Do one round of it."""


@dataclass(eq=False, slots=True)
class WaitCall:
    """
    A wait for a promise.

    Attributes:
        watcher: Where it waits.
        since: The number of the last look that began before it.
        generation: The promise's generation at the first look that counts.
        has_begun: Whether there was that look.
    """

    watcher: LeadsWaits
    since: int
    generation: int | None = None
    has_begun: bool = False

    def begin(self, generation: int | None) -> None:
        """Let this be the generation that is waited for."""
        self.generation = generation
        self.has_begun = True


@final
@dataclass(eq=False, slots=True)
class WatchedCall(WaitCall):
    """
    A wait that is one of a watch.

    Attributes:
        watch: The watch.
    """

    watch: Watch = field(kw_only=True)

    def begin(self, generation: int | None) -> None:
        WaitCall.begin(self, generation)
        self.watch.see()


Waiter: TypeAlias = Follower[WaitCall, Outcome[bytes]] | Watched[WaitCall]
