"""
`Sweeper`: settles what is over, without reading what is not.

The markers of an hour are looked at once that hour has come, each of them once; what is
due later in it is remembered. So a sweep costs a look at one directory, and one at each
promise that has become due.
"""

from __future__ import annotations

import heapq
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, final

from dp_backends.file._files import explained, read_file, remove
from dp_backends.file._layout import (
    DUE,
    GRACE,
    FileName,
    Kind,
    Place,
    PromiseFiles,
    due_path,
    hour_of,
    shard_path,
)
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_core import CorruptPromiseError, Terms
from dp_core.backend import now

__all__ = ["Sweeper"]

_LONGEST_PAUSE: Final = 1.0
"""Seconds until the next look: other processes may create promises at any time."""

_TICK: Final = 1.0
"""Seconds after which the time of a change tells it from a later one."""


@final
@dataclass(slots=True)
class _Hour:
    """
    The markers of one hour, as far as they were read.

    Attributes:
        change: The directory and the time of its last change, when it was listed.
        changed_at: When that change was first seen, by the monotonic clock.
        listed_at: When the directory was last listed, by the same clock.
        known: The markers that need not be read again.
        early: Those whose promises have no terms yet.
        due: Those that are not over, by their deadlines.
    """

    change: tuple[int, int] = (0, 0)
    changed_at: float = 0.0
    listed_at: float = 0.0
    known: set[str] = field(default_factory=set)
    early: list[str] = field(default_factory=list)
    due: list[tuple[datetime, str, Place]] = field(default_factory=list)


@final
class Sweeper:
    """Sweeps one store; not for use by two threads at once."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._hours: dict[str, _Hour] = {}

    def sweep(self, limit: int) -> float | None:
        """
        Settle what is over; see `dp_core.backend.Registry`.

        Raises:
            BackendError: The store could not be read or written.
        """
        if not self._store.is_made():
            return None
        with explained(f"sweep the store {self._store.root}"):
            moment = now()
            hours = self._list_hours()
            for name in hours:
                if name > hour_of(moment):
                    break
                limit -= self._sweep_hour(name, moment, limit)
                if limit <= 0:
                    return 0.0
        return _LONGEST_PAUSE if hours else None

    def _list_hours(self) -> list[str]:
        try:
            names = sorted(os.listdir(f"{self._store.root}/{DUE}"))
        except FileNotFoundError:
            names = []
        self._hours = {name: self._hours.get(name, _Hour()) for name in names}
        return names

    def _sweep_hour(self, name: str, moment: datetime, limit: int) -> int:
        """Settle what is over of an hour; return how many were looked at."""
        directory, hour = due_path(self._store.root, name), self._hours[name]
        try:
            markers = self._unread(directory, hour)
        except (FileNotFoundError, NotADirectoryError):
            # Another one sweeps, too, and it was the last marker of that hour.
            return 0
        for marker in markers:
            self._read(name, marker, hour)
        looked = 0
        while hour.due and hour.due[0][0] <= moment and looked < limit:
            _, marker, place = hour.due[0]
            if not self._settle(directory, marker, place):
                # The clock was set back just now.
                break
            heapq.heappop(hour.due)
            looked += 1
        if name < hour_of(moment):
            if name < hour_of(moment - timedelta(seconds=GRACE)):
                # Who made them died, or stands still; then it will see that its
                # deadline is over.
                for marker in hour.early:
                    remove(f"{directory}/{marker}")
            with suppress(OSError):
                os.rmdir(directory)
        return looked

    def _unread(self, directory: str, hour: _Hour) -> list[str]:
        """Return the markers that were not read yet, or in vain."""
        status = os.stat(directory)
        change, clock = (status.st_ino, status.st_mtime_ns), time.monotonic()
        if change != hour.change:
            hour.change, hour.changed_at = change, clock
        markers, hour.early = hour.early, []
        # Two changes in one tick of the file system's clock look like one.
        if hour.listed_at < hour.changed_at + _TICK:
            hour.listed_at = clock
            listed = set(os.listdir(directory))
            hour.known &= listed
            markers = sorted(listed - hour.known)
        return markers

    def _read(self, name: str, marker: str, hour: _Hour) -> None:
        """Read the deadline that a marker stands for."""
        root = self._store.root
        file = FileName.of(f"{marker}.terms.json")
        if file.kind is not Kind.TERMS:
            hour.known.add(marker)
            return
        files = PromiseFiles(shard_path(root, file.name[:2]), file.name)
        path = files.terms(file.generation)
        content = read_file(path)
        if content is None:
            hour.early.append(marker)
            return
        hour.known.add(marker)
        try:
            record = Record.from_bytes(content[0], path)
        except CorruptPromiseError:
            # Erased, because the generation is dead; or an error for who asks for it.
            if not content[0]:
                remove(f"{due_path(root, name)}/{marker}")
            return
        terms = record.event
        if (
            isinstance(terms, Terms)
            and terms.deadline is not None
            and hour_of(terms.deadline) == name
        ):
            place = Place(files.shard, files.name, record.id)
            heapq.heappush(hour.due, (terms.deadline, marker, place))
        else:
            # Of a creator that lost to another one.
            remove(f"{due_path(root, name)}/{marker}")

    def _settle(self, directory: str, marker: str, place: Place) -> bool:
        """Settle a promise whose deadline is over, and remove its marker."""
        try:
            view = self._store.look_at(place)
        except CorruptPromiseError:
            # For whoever asks for it.
            return True
        is_pending = view.deadline is not None
        if is_pending and place.stem(view.generation) == marker:
            return False
        remove(f"{directory}/{marker}")
        return True
