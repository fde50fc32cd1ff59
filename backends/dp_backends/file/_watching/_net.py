"""
`Net`: which directories have changed, whatever the kernel has reported.

Each name that appears or goes gives its directory new times (stat(2)). So one look at a
directory stands for looks at all promises in it: of a store it is 256 at most, however
many promises are waited for. The promises in it are looked at where its times are new;
and once more a while later, as what happens within one tick of the file system's clock
after a look gives no new times.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from time import monotonic
from typing import Final, NamedTuple, TypeAlias, final

__all__ = ["Net"]

_NET: Final = (1.0, 5.0)
"""First and longest pause between rounds, in seconds, where the kernel reports."""

_ALONE: Final = (0.01, 0.25)
"""The same where it does not: no inotify, no watch left, a remote disk."""

_TICK: Final = 3.0
"""Seconds after which the clock of any file system has moved on: of FAT, two."""

_Times: TypeAlias = tuple[int, ...] | None


class _Seen(NamedTuple):
    """The times of a directory, since when, and whether that is long enough."""

    times: _Times
    since: float
    is_old: bool


@final
class Net:
    """The directories in which promises are waited for, as they were seen last."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
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

    def changed(self, directories: Collection[str]) -> list[str]:
        """Return those in which something may have changed since the last call."""
        # Others are not waited for any more.
        before, self._seen = self._seen, {}
        return [path for path in directories if self._has_changed(path, before)]

    def _has_changed(self, path: str, before: dict[str, _Seen]) -> bool:
        time, times = monotonic(), _times_of(path)
        seen = before.get(path)
        if seen is None or seen.times != times:
            self._seen[path] = _Seen(times, time, is_old=False)
            return True
        is_old = time - seen.since >= _TICK
        self._seen[path] = seen._replace(is_old=is_old)
        return not seen.is_old


def _times_of(path: str) -> _Times:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
