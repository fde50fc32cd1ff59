"""`DueMarkers`: empty files that say which promises have a deadline in which hour."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from typing import Final, final

from dp_backends.file._files import make_directory, opened_directory, remove
from dp_backends.file._layout import due_path, hour_of
from dp_backends.file._publishing import Durability

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
        # Directories whose own names are durable, by their inode numbers.
        self._durable: Final[set[tuple[str, int]]] = set()

    def mark(self, stem: str, deadline: datetime) -> None:
        """
        Say, durably, that a generation has a deadline; once or again.

        Args:
            stem: What its files' names begin with.
            deadline: When it is.

        Raises:
            OSError: It may be said durably or not.
        """
        hour = due_path(self._root, hour_of(deadline))
        while True:
            for directory in (os.path.dirname(hour), hour):
                make_directory(directory)
            # Whoever sweeps may have removed the directory, if its hour is over.
            with suppress(FileNotFoundError), opened_directory(hour) as opened:
                self._mark(f"{hour}/{stem}", opened)
                break
        identity = (hour, os.stat(hour).st_ino)
        if identity not in self._durable:
            self._durability.fsync_names(os.path.dirname(hour))
            self._durability.fsync_names(self._root)
            self._durable.add(identity)

    def _mark(self, path: str, directory: int) -> None:
        os.close(os.open(path, _MARK, 0o600))
        try:
            self._durability.fsync_opened(directory)
        except OSError:
            # Made anew by the next attempt: a second fsync alone proves nothing.
            remove(path)
            self._durable.clear()
            raise


_MARK: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
