"""
`Net`: which directories have changed, whatever the kernel has reported.

Each name that appears or goes gives its directory new times (stat(2)). So one look at a
directory stands for looks at all promises in it: of a store it is 256 at most, however
many promises are waited for. Its times are noted before the first look into it, so that
there is no other one until they are new.

A change gives no new times where it comes within one tick of the file system's clock
after another one. So a directory whose times were young when they were noted is looked
into in each round until they are old.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from time import monotonic, time_ns
from typing import Final, NamedTuple, TypeAlias, final

__all__ = ["Net", "Seen", "see"]

_NET: Final = (1.0, 5.0)
"""First and longest pause between rounds, in seconds, where the kernel reports."""

_ALONE: Final = (0.01, 0.25)
"""The same where it does not: no inotify, no watch left, a remote disk."""

_TICK: Final = 3.0
"""Seconds after which the clock of any file system has moved on: of FAT, two."""

_Times: TypeAlias = tuple[int, ...] | None


class Seen(NamedTuple):
    """
    A directory, as it was seen.

    Attributes:
        times: Its times; None where it is not there.
        age: Seconds since these, by this machine's clock.
        since: When they were seen first.
        is_old: Whether any change since the last look has to show.
    """

    times: _Times
    age: float
    since: float
    is_old: bool = False


@final
class Net:
    """The directories in which promises are waited for, as they were seen last."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._pause = 0.0

    def begin(self) -> None:
        """Let the pauses between rounds be short again, as somebody has come."""
        self._pause = 0.0

    def next_pause(self, *, reported: bool) -> float:
        """
        Return how long to wait before the next round, in seconds.

        Args:
            reported: Whether the kernel reports changes of all directories.
        """
        first, longest = _NET if reported else _ALONE
        self._pause = min(max(2 * self._pause, first), longest)
        return self._pause

    def new(self, directories: Iterable[str]) -> set[str]:
        """Return those that are to be seen before what is in them is looked at."""
        return {path for path in directories if path not in self._seen}

    def note(self, seen: Mapping[str, Seen]) -> None:
        """Note directories that were seen before what is in them was looked at."""
        for path, now in seen.items():
            self._seen.setdefault(path, now)

    def changed(self, seen: Mapping[str, Seen], *, is_local: bool) -> set[str]:
        """
        Return the directories in which something may have changed.

        Args:
            seen: All directories in which promises are waited for, seen just now; what
                is in the changed ones will be looked at.
            is_local: Whether this machine's clock gives them their times.
        """
        changed = set()
        noted = {}
        for path, now in seen.items():
            before = self._seen.get(path)
            if before is None or before.times != now.times:
                noted[path] = now
            elif before.is_old or (is_local and before.age >= _TICK):
                noted[path] = before
                continue
            else:
                is_old = now.since - before.since >= _TICK
                noted[path] = before._replace(is_old=is_old)
            changed.add(path)
        # Others are not waited for any more.
        self._seen = noted
        return changed


def see(directories: Iterable[str]) -> dict[str, Seen]:
    """See directories as they are now; this blocks."""
    return {path: _see(path) for path in directories}


def _see(path: str) -> Seen:
    since = monotonic()
    try:
        status = os.stat(path)
    except OSError:
        # Whenever it is made, that shows.
        return Seen(None, math.inf, since, is_old=True)
    times = status.st_mtime_ns, status.st_ctime_ns
    age = (time_ns() - max(times)) / 1e9
    return Seen((status.st_dev, status.st_ino, *times), age, since)
