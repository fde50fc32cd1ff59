"""
`KernelReports`: changes in the directories of those who wait, as the kernel tells them.

It may tell nothing: there is no inotify, no watch left, or the disk is remote. Then
looks after a pause are all there is (`_net`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final, final

import anyio

from dp_backends._system import Inotify, open_inotify
from dp_backends.file._layout import FileName, Kind
from dp_backends.file._watching._entries import Entry
from dp_backends.file._watching._schedule import AT_ONCE
from dp_core.backend import Waiters

__all__ = ["KernelReports"]

_HELP_AFTER: Final = 0.02
"""Seconds that a writer may take from visible to durable before a reader helps."""


@final
class KernelReports:
    """
    The directories in which promises are waited for, as the kernel watches them.

    Attributes:
        has_remote: Whether one of them is known to be changed by other machines, too.
    """

    def __init__(self) -> None:
        # The number of entries in each.
        self._directories: Counter[str] = Counter()
        self._inotify: Inotify | None = None
        self.has_remote = False

    @property
    def directories(self) -> Collection[str]:
        """All of them."""
        return self._directories.keys()

    @property
    def watched(self) -> int:
        """The number of those that the kernel watches."""
        return 0 if self._inotify is None else len(self._inotify)

    @property
    def are_whole(self) -> bool:
        """Whether the kernel reports all changes."""
        return (
            self._inotify is not None
            and len(self._inotify) >= len(self._directories)
            and not self.has_remote
        )

    def watch(self, directory: str) -> bool:
        """Watch the directory of an entry; tell whether the kernel does."""
        if self._inotify is None:
            self._inotify = open_inotify()
        self._directories[directory] += 1
        return self._inotify is not None and self._inotify.add(directory)

    def watch_again(self, entry: Entry) -> None:
        """Watch a directory that was made or replaced since."""
        if self._inotify is None:
            return
        identity = entry.store.identity
        if entry.watched not in (None, identity):
            self._inotify.remove(entry.place.shard)
            entry.is_watched = False
        entry.watched = identity
        entry.is_watched = entry.is_watched or self._inotify.add(entry.place.shard)

    def unwatch(self, directory: str) -> None:
        """Watch the directory no longer for one entry."""
        self._directories[directory] -= 1
        if not self._directories[directory]:
            del self._directories[directory]
            if self._inotify is not None:
                self._inotify.remove(directory)

    def read(self, entries: Waiters[str, Entry]) -> Iterator[tuple[Entry, float]]:
        """
        Return the entries whose promises may have changed, and when to look at each.

        Args:
            entries: All entries, by the names of their promises.
        """
        if self._inotify is None:
            return
        for event in self._inotify.read():
            if event.directory is None or event.file is None:
                # Events were dropped, or the directory is gone.
                for entry in entries.all():
                    if entry.place.shard == event.directory:
                        entry.is_watched = False
                    yield entry, AT_ONCE
                continue
            file = FileName.of(event.file)
            if event.deleted == (file.kind is Kind.TEMPORARY):
                # A temporary name disappears when the record is durable.
                due = AT_ONCE if event.deleted else anyio.current_time() + _HELP_AFTER
                for entry in entries.of(file.name):
                    if entry.place.shard == event.directory:
                        yield entry, due

    async def wait(self) -> None:
        """Sleep until there is something to read."""
        if self._inotify is None:
            await anyio.sleep_forever()
        else:
            await anyio.wait_readable(self._inotify.fd)
