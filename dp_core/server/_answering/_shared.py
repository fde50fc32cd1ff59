"""
`SharedAnswers`: an answer that many ask for is made once for all who wait for it.

It is made after the last of them has asked, so that nobody is told how things were
before; and the next one a moment later, so that many readers of one page cost as much
as a few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar, final

import anyio

from dp_core.backend import Follower, LeaderFollowers

__all__ = ["SharedAnswers"]

T = TypeVar("T")

PAUSE: Final = 0.25
"""Seconds between the making of two answers of one kind, at least."""

_MOST_KINDS: Final = 1000
"""The most kinds whose last answer is remembered."""

_Make: TypeAlias = Callable[[], Awaitable[T]]


@final
class SharedAnswers(Generic[T]):
    """Answers of some kinds, of one app."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, LeaderFollowers[_Make[T], T]] = {}
        self._made_at: dict[Hashable, float] = {}

    async def answer(self, kind: Hashable, make: _Make[T]) -> T:
        """
        Return an answer that was made after this call.

        Args:
            kind: Those who give an equal one get one answer.
            make: Makes it.

        Raises:
            Exception: What making it has raised.
        """
        group = self._groups.get(kind)
        if group is None:
            group = LeaderFollowers(partial(self._lead, kind))
            self._groups[kind] = group
        try:
            return await Follower(group, make).join()
        finally:
            if not len(group):
                self._groups.pop(kind, None)

    async def _lead(self, kind: Hashable, leader: Follower[_Make[T], T]) -> None:
        await anyio.sleep_until(self._made_at.get(kind, 0.0) + PAUSE)
        batch = list(leader.group)
        if len(self._made_at) >= _MOST_KINDS:
            self._made_at.clear()
        self._made_at[kind] = anyio.current_time()
        try:
            made = await leader.request()
        except Exception as error:  # noqa: BLE001 - it is handed out
            for follower in batch:
                follower.set_exception(error)
            return
        for follower in batch:
            follower.set_result(made)
