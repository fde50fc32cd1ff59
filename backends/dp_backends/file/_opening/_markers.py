"""
`DueMarkers`: empty files that say which promises have a deadline in which hour.

A marker is durable before the terms that it is for. Whoever settles the promise
removes it, and so does `Sweeper`, also those whose creators have died. A creator that
was only taken for dead looks for its marker afterwards, and a sweeper for terms:
whoever comes second sees what the other one did, and makes the marker again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from typing import Final, final

from dp_backends._system import opened_directory
from dp_backends._working import Rounds
from dp_backends.file._files import make_directory, remove
from dp_backends.file._layout import due_path, hour_of
from dp_backends.file._publishing import Durability
from dp_core import BackendError

__all__ = ["DueMarkers"]


@final
class DueMarkers:
    """
    Markers of the deadlines in the store in one directory.

    Args:
        root: The directory.
        durability: Makes the markers durable.
    """

    def __init__(self, root: str, durability: Durability) -> None:
        self._root = root
        self._durability = durability
        # The directory of the hours as it was when the names of those that were there
        # became durable. An inode number alone may be that of another hour by now.
        self._durable: tuple[int, int] | None = None

    def mark(self, stem: str, deadline: datetime) -> None:
        """
        Say, durably, that a generation has a deadline; once or again.

        Args:
            stem: What its files' names begin with.
            deadline: When it is.

        Raises:
            OSError: It may be said durably or not.
            BackendError: It is not said, as something else has its place.
        """
        hour = due_path(self._root, hour_of(deadline))
        hours = os.path.dirname(hour)
        rounds = Rounds()
        while True:
            # An error where the store is gone.
            make_directory(hours)
            # Whoever finds the directory of an hour empty may remove it.
            try:
                make_directory(hour)
                with opened_directory(hour) as opened:
                    self._mark(stem, opened)
                break
            except FileNotFoundError:
                # Nobody has: it is a link that leads nowhere, for one.
                if rounds.are_futile(None):
                    raise BackendError(
                        f"cannot note a deadline in {hour}: it is not a "
                        "directory; look whether it is a link, and remove it"
                    ) from None
                rounds.pause()
        changed = _changed(hours)
        if changed != self._durable:
            self._durable = None
            self._durability.fsync_names(hours)
            self._durability.fsync_names(self._root)
            self._durable = changed

    def is_marked(self, stem: str, deadline: datetime) -> bool:
        """Tell whether a generation has its marker."""
        return os.path.lexists(self._path(stem, deadline))

    def unmark(self, stem: str, deadline: datetime) -> None:
        """Remove the marker of a generation that is settled, durably."""
        remove(self._path(stem, deadline))

    def _path(self, stem: str, deadline: datetime) -> str:
        return f"{due_path(self._root, hour_of(deadline))}/{stem}"

    def _mark(self, stem: str, hour: int) -> None:
        with suppress(FileExistsError):
            # Not by the name of the hour, which may be another directory's by now.
            os.close(os.open(stem, _MARK, 0o600, dir_fd=hour))
        try:
            self._durability.fsync_found(hour)
        except OSError:
            # Made anew by the next attempt: a second fsync alone proves nothing.
            with suppress(OSError):
                os.unlink(stem, dir_fd=hour)
            raise


def _changed(directory: str) -> tuple[int, int]:
    status = os.stat(directory)
    return status.st_ino, status.st_ctime_ns


_MARK: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
