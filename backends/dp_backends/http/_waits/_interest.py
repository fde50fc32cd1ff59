"""`SingleWait` and `Share`: callers that wait for promises on event streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias, final

import anyio

from dp_backends.http._retry import RetryBudget
from dp_core import NotSupportedError, Outcome, PromiseDisposedError
from dp_core.backend import Follower, LeaderFollowers, Watch

__all__ = ["Caller", "Callers", "Interest", "NoStreamError", "Share", "SingleWait"]

_Told: TypeAlias = Outcome[bytes] | PromiseDisposedError


class NoStreamError(Exception):
    """There is no event stream for a caller, who is to ask for each promise alone."""


class Interest(Protocol):
    """
    The promises that a caller waits for.

    Attributes:
        budget: Its time for asking a server that does not answer.
    """

    budget: RetryBudget

    @property
    def ids(self) -> Iterable[str]:
        """The ids of which it was told nothing."""

    def tell(self, caller: Caller, id: str, told: _Told) -> None:
        """Tell of a promise."""

    def note_watched(self) -> None:
        """Take note that all of its promises are watched."""


Caller: TypeAlias = Follower[Interest, Any]
Callers: TypeAlias = LeaderFollowers[Interest, Any]


@final
class SingleWait:
    """A wait for one promise."""

    __slots__ = ("budget", "id")

    def __init__(self, id: str, budget: RetryBudget) -> None:
        self.id = id
        self.budget = budget

    @property
    def ids(self) -> Iterable[str]:
        return (self.id,)

    def tell(self, caller: Caller, id: str, told: _Told) -> None:
        if isinstance(told, PromiseDisposedError):
            caller.set_exception(told)
        else:
            caller.set_result(told)

    def note_watched(self) -> None:
        """Do nothing: a wait cannot tell."""


@final
class Share:
    """
    Some promises of one watch, which fit on one stream.

    Attributes:
        watched: Set once all of them are watched, or will not be.
        is_refused: Whether they will not be, for want of a stream.
    """

    def __init__(self, ids: Iterable[str], watch: Watch, budget: RetryBudget) -> None:
        self.budget = budget
        self.watched = anyio.Event()
        self.is_refused = False
        self._untold = dict.fromkeys(ids)
        self._watch = watch

    async def begun(self, url: object) -> None:
        """
        Return once all of them are watched.

        Raises:
            NotSupportedError: They will not be, as there is no stream from that URL.
        """
        await self.watched.wait()
        if self.is_refused:
            raise NotSupportedError(
                f"there is no event stream from {url}: wait for each promise alone"
            )

    @property
    def ids(self) -> Iterable[str]:
        return tuple(self._untold)

    def tell(self, caller: Caller, id: str, told: _Told) -> None:
        if id in self._untold:
            del self._untold[id]
            self._watch.tell(id, told)
            if not self._untold:
                caller.set_result(None)

    def note_watched(self) -> None:
        self.watched.set()
