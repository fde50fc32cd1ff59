"""
`LeaderFollowers`: callers that come together share one piece of work.

This is the leader/followers pattern (Schmidt, Stal, Rohnert and Buschmann,
*Pattern-Oriented Software Architecture*, volume 2, 2000) for the tasks of one
event loop. One of the callers leads: it does the work for all in its own task,
while the others, its followers, wait. So there is no background task that would
have to be started, watched, and ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from copy import copy
from typing import Generic, TypeVar, final

from anyio.lowlevel import EventLoopToken

from dp_core._observed_requests import operation_under_way
from dp_core.backend._signal import Signal, signal, wake

__all__ = ["Follower", "LeaderFollowers", "copied"]

R = TypeVar("R")
T = TypeVar("T")


@final
class LeaderFollowers(Generic[R, T]):
    """
    A group of callers in one event loop that share their work.

    A caller that joins while nobody leads becomes the leader, and calls *lead* again
    and again until it has a result of its own. All that join meanwhile follow: they
    wait until the leader gives them a result, too. When the leader leaves, because
    it has its result, was cancelled, or *lead* raised, the follower that came
    first leads from then on. No caller depends on the life of another, and no
    wake-up is lost.

    This reads many texts at once, for all callers that come before it begins::

        async def read(leader: Follower[str, bytes]) -> None:
            await checkpoint()  # Let callers that are ready now come along.
            batch = list(readers)
            texts = await to_thread.run_sync(read_all, [f.request for f in batch])
            for follower, text in zip(batch, texts, strict=True):
                follower.set_result(text)


        readers: LeaderFollowers[str, bytes] = LeaderFollowers(read)
        text = await Follower(readers, "name").join()

    A group belongs to one event loop; `LoopLocal` keeps one for each. Nothing here
    may be called from another thread.

    ``len(group)`` is the number of callers without a result. Iterating gives these
    callers, the leader too, in the order in which they came, as of that moment:
    *lead* may await while it iterates.

    Args:
        lead: Does some of the work, and hands out what it has found by
            `Follower.set_result` and `Follower.set_exception`. It is called with
            the follower that leads, in that caller's task and cancel scopes, and
            never by two callers at once. If the leader has no result when it
            returns, it is called again, so it must wait for something. It may be
            cancelled wherever it awaits; whatever it has not handed out by then,
            the next leader has to find. What it raises, error or cancellation,
            reaches the leader's own caller only. The group keeps it: a method of an
            object that keeps the group makes a reference cycle, so an object that
            holds a descriptor had better be named by the requests.
    """

    def __init__(self, lead: Callable[[Follower[R, T]], Awaitable[None]]) -> None:
        self._lead = lead
        # None only while nobody is here, and nobody in the lead function.
        self._leader: Follower[R, T] | None = None
        # A dict looks for its first key among all that were deleted before it.
        self._followers: OrderedDict[Follower[R, T], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._followers)

    def __iter__(self) -> Iterator[Follower[R, T]]:
        return iter(tuple(self._followers))

    def move_to(self, other: LeaderFollowers[R, T]) -> None:
        """Let all callers of this group wait in *other*, behind those there."""
        for follower in self:
            del self._followers[follower]
            other._add(follower)

    def _add(self, follower: Follower[R, T]) -> None:
        follower.group = self
        self._followers[follower] = None
        if self._leader is None:
            self._elect()

    def _remove(self, follower: Follower[R, T]) -> None:
        self._drop(follower)
        if self._leader is follower:
            self._elect()

    def _drop(self, follower: Follower[R, T]) -> None:
        self._followers.pop(follower, None)

    def _elect(self) -> None:
        """Make the first in line the leader, and wake it up to lead."""
        self._leader = next(iter(self._followers), None)
        if self._leader is not None:
            self._leader._wake()

    async def _be_led_by(self, leader: Follower[R, T]) -> None:
        try:
            await self._lead(leader)
        finally:
            self._elect()


@final
class Follower(Generic[R, T]):
    """
    One caller: it follows until it leads, or has its result.

    Args:
        group: Whom it joins.
        request: What it wants; only the group's lead function reads this.

    Attributes:
        group: Where it waits; another one after `LeaderFollowers.move_to`.
        request: As given.
        operation: The number of the operation for which it is here, if one is observed.
    """

    __slots__ = ("_result", "_wake_up", "group", "operation", "request")

    def __init__(self, group: LeaderFollowers[R, T], request: R) -> None:
        self.group = group
        self.request = request
        self.operation = operation_under_way()
        self._result: tuple[T] | Exception | None = None
        self._wake_up: Signal | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was given its result, or an exception."""
        return self._result is not None

    async def join(self, token: EventLoopToken | None = None) -> T:
        """
        Return the result, found by the leader, which may be this caller.

        To be awaited once; another call is another follower.

        Args:
            token: The event loop, for who has its token, as to find it out takes long.

        Raises:
            Exception: What `set_exception` was called with, or what the lead
                function raised while this caller led.
        """
        self.group._add(self)
        try:
            while self._result is None:
                if self.group._leader is self:
                    await self.group._be_led_by(self)
                else:
                    # A new one each time: the last may be set, by an election.
                    self._wake_up = signal(token)
                    await self._wake_up
        finally:
            self.group._remove(self)
        if isinstance(self._result, Exception):
            raise copied(self._result) from self._result.__cause__
        return self._result[0]

    def move_to(self, other: LeaderFollowers[R, T]) -> None:
        """
        Wait in another group, behind those there.

        Nothing happens if it has its result, or has left. A leader that moves has to
        return from the lead function without awaiting.
        """
        before = self.group
        if self in before._followers:
            before._remove(self)
            other._add(self)

    def set_result(self, result: T) -> None:
        """Let `join` return *result*, unless it was given something before."""
        self._finish((result,))

    def set_exception(self, error: Exception) -> None:
        """
        Let `join` raise *error*, unless it was given something before.

        It raises a copy with a traceback of its own, so one error may be given to
        any number of followers.
        """
        self._finish(error)

    def _finish(self, result: tuple[T] | Exception) -> None:
        if self._result is None:
            self._result = result
            # Not removed: a leader leads until its lead function has returned.
            self.group._drop(self)
            self._wake()

    def _wake(self) -> None:
        if self._wake_up is not None:
            wake(self._wake_up)


def copied(error: Exception) -> Exception:
    """Return an error like this one, with a traceback of its own, if there can be."""
    try:
        return copy(error)
    except Exception:  # noqa: BLE001 - an error need not be made for copying
        return error
