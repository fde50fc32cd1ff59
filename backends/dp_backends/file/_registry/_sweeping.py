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
from datetime import UTC, datetime, timedelta
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
    is_hour,
    shard_path,
)
from dp_backends.file._read_batcher import look_at_all
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_core import BackendError, CorruptPromiseError, Terms
from dp_core.backend import now

__all__ = ["Sweeper"]

_LONGEST_PAUSE: Final = 1.0
"""Seconds until the next look: other processes may create promises at any time."""

_TICK: Final = 1.0
"""Seconds after which the time of a change tells it from a later one."""

_RETRY: Final = timedelta(seconds=1)
"""After what time a promise that could not be settled is tried again."""


@final
@dataclass(slots=True)
class _Hour:
    """
    The markers of one hour, as far as they were read.

    Attributes:
        name: The hour's name.
        path: Its directory.
        change: The directory and the time of its last change, when it was listed.
        changed_at: When that change was first seen, by the monotonic clock.
        listed_at: When the directory was last listed, by the same clock.
        known: The markers that need not be read again.
        unread: Those whose promises have no terms yet, or terms that cannot be read.
        due: When to settle those that are not over, with their promises.
    """

    name: str
    path: str
    change: tuple[int, int] = (0, 0)
    changed_at: float = 0.0
    listed_at: float = 0.0
    known: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    due: list[tuple[datetime, str, Place]] = field(default_factory=list)

    def markers(self) -> list[str]:
        """
        Return the markers that were not read yet, or in vain.

        Raises:
            OSError: The directory cannot be read, or is not there any more.
        """
        status = os.stat(self.path)
        change, clock = (status.st_ino, status.st_mtime_ns), time.monotonic()
        if change != self.change:
            self.change, self.changed_at = change, clock
        markers, self.unread = self.unread, []
        # Two changes in one tick of the file system's clock look like one.
        if self.listed_at < self.changed_at + _TICK:
            self.listed_at = clock
            listed = set(os.listdir(self.path))
            self.known &= listed
            markers = sorted(listed - self.known)
        return markers


@final
class Sweeper:
    """
    Sweeps one store.

    Args:
        store: The store.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        # Taken by whoever sweeps; another thread begins with nothing. No lock, which
        # would hang a child that was forked while it was held.
        self._idle: Final[list[dict[str, _Hour]]] = [{}]

    def sweep(self, limit: int) -> float | None:
        """
        Settle what is over; see `dp_core.backend.Registry`.

        Raises:
            BackendError: The store could not be read; or some of the promises could
                not be settled, and the others were.
        """
        if not self._store.is_made():
            return None
        hours = self._idle.pop() if self._idle else {}
        try:
            with explained(f"sweep the store {self._store.root}"):
                return self._sweep(hours, limit)
        finally:
            self._idle[:] = [hours]

    def _sweep(self, hours: dict[str, _Hour], limit: int) -> float | None:
        moment = now()
        names = self._names()
        for name in hours.keys() - set(names):
            del hours[name]
        errors: list[BackendError] = []
        pause = _LONGEST_PAUSE
        for name in names:
            if name > hour_of(moment):
                break
            # Forgotten where anything goes wrong, so that all of it is read again.
            path = due_path(self._store.root, name)
            hour = hours.pop(name, None) or _Hour(name, path)
            try:
                self._read(hour, errors)
            except (FileNotFoundError, NotADirectoryError):
                # Another one sweeps, too, and it was the last marker of that hour.
                continue
            limit = self._settle(hour, moment, limit, errors)
            self._clear(hour, moment)
            hours[name] = hour
            if limit <= 0:
                pause = 0.0
                break
            if hour.due:
                left = (hour.due[0][0] - now()).total_seconds()
                pause = min(pause, max(left, 0.0))
        if errors:
            raise errors[0]
        return pause if names else None

    def _names(self) -> list[str]:
        """Return the hours in which something has a deadline, in their order."""
        with suppress(FileNotFoundError):
            listed = os.listdir(f"{self._store.root}/{DUE}")
            return sorted(name for name in listed if is_hour(name))
        return []

    def _read(self, hour: _Hour, errors: list[BackendError]) -> None:
        for marker in hour.markers():
            try:
                self._read_one(hour, marker)
            except BackendError as error:
                # An error for whoever asks for that promise; it may be repaired.
                hour.unread.append(marker)
                if not isinstance(error, CorruptPromiseError):
                    errors.append(error)

    def _read_one(self, hour: _Hour, marker: str) -> None:
        """Read the deadline that a marker stands for."""
        path = self._terms_path(marker)
        if path is None:
            # Not ours, or left by a creator on a disk that failed.
            if FileName.of(marker).kind is Kind.TEMPORARY:
                self._drop_if_old(hour, marker)
            hour.known.add(marker)
            return
        content = read_file(path)
        if content is None:
            if not self._drop_if_old(hour, marker):
                hour.unread.append(marker)
            return
        if not content[0]:
            # Erased, because the generation is dead.
            self._remove(hour, marker)
            return
        record = Record.from_bytes(content[0], path)
        terms = record.event
        deadline = terms.deadline if isinstance(terms, Terms) else None
        if deadline is not None and hour_of(deadline) == hour.name:
            hour.known.add(marker)
            place = Place.of(self._store.root, record.id)
            heapq.heappush(hour.due, (deadline, marker, place))
        else:
            # Of a creator that lost to another one.
            self._remove(hour, marker)

    def _terms_path(self, marker: str) -> str | None:
        """Return where the terms are that a marker is for; None if it is not ours."""
        file = FileName.of(f"{marker}.terms.json")
        if file.kind is not Kind.TERMS:
            return None
        shard = shard_path(self._store.root, file.name[:2])
        return PromiseFiles(shard, file.name).terms(file.generation)

    def _remove(self, hour: _Hour, marker: str) -> None:
        remove(f"{hour.path}/{marker}")

    def _drop_if_old(self, hour: _Hour, marker: str) -> bool:
        """
        Remove a marker whose creator has died; return whether it was removed.

        A creator that was only taken for dead publishes its terms later, and then looks
        for its marker; or has published them just now, and is seen here.
        """
        try:
            made = os.lstat(f"{hour.path}/{marker}").st_mtime
        except FileNotFoundError:  # pragma: no cover - gone since it was listed
            return True
        if time.time() - made < GRACE:
            return False
        self._remove(hour, marker)
        path = self._terms_path(marker)
        if path is not None and os.path.lexists(path):
            begin = datetime.fromisoformat(f"{hour.name}:00").replace(tzinfo=UTC)
            self._store.mark_due(marker, begin)
            return False
        return True

    def _settle(
        self, hour: _Hour, moment: datetime, limit: int, errors: list[BackendError]
    ) -> int:
        """Settle what is over of an hour; return what is left of the limit."""
        over: list[tuple[str, Place]] = []
        while hour.due and hour.due[0][0] <= moment and len(over) < limit:
            _, marker, place = heapq.heappop(hour.due)
            over.append((marker, place))
        findings = look_at_all((self._store, place) for _, place in over)
        for (marker, place), found in zip(over, findings, strict=True):
            if isinstance(found, BackendError):
                # Damage is an error for whoever asks for that promise.
                if not isinstance(found, CorruptPromiseError):
                    errors.append(found)
                    heapq.heappush(hour.due, (moment + _RETRY, marker, place))
            elif isinstance(found, Exception):
                raise found  # pragma: no cover - a mistake of our own
            elif found.deadline is None or place.stem(found.generation) != marker:
                self._remove(hour, marker)
            else:
                # The clock was set back just now.
                heapq.heappush(hour.due, (found.deadline, marker, place))
        return limit - len(over)

    def _clear(self, hour: _Hour, moment: datetime) -> None:
        """Remove the directory of an hour that is over, if it is empty."""
        if hour.name < hour_of(moment):
            with suppress(OSError):
                os.rmdir(hour.path)
